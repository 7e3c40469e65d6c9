package cel

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/yolean/kafka-cache/core/policy"
)

type rule struct {
	program cel.Program
	opaque  bool
}

func (r *rule) check(m *policy.Mutation) error {
	b := bindings.Get().(*binding)
	b.mutation, b.opaque = m, r.opaque
	defer b.release()
	out, _, err := r.program.Eval(b)
	if err != nil {
		var cancelled interpreter.EvalCancelledError
		if errors.As(err, &cancelled) {
			return &policy.Refusal{Reason: fmt.Sprintf("the rule takes more than %d steps on this change", maxCost)}
		}
		return &policy.Refusal{Reason: policy.Line("the rule cannot be evaluated: " + err.Error())}
	}
	if out != types.True {
		return &policy.Refusal{Reason: errFalse.Error()}
	}
	return nil
}

// binding gives the variables of one evaluation their values, each when it is asked for.
type binding struct {
	mutation *policy.Mutation
	opaque   bool
	self     value
	oldSelf  value
}

// value is a variable's, once it was asked for.
type value struct {
	val  ref.Val
	json view
}

var bindings = sync.Pool{New: func() any { return new(binding) }}

func (b *binding) release() {
	b.mutation = nil
	for _, v := range []*value{&b.self, &b.oldSelf} {
		v.val = nil
		v.json.release()
	}
	bindings.Put(b)
}

// Parent makes it an activation.
func (b *binding) Parent() cel.Activation { return nil }

// ResolveName is what CEL asks for a variable.
func (b *binding) ResolveName(name string) (any, bool) {
	m := b.mutation
	switch name {
	case "self":
		return b.self.read(m.Self, b.opaque), true
	case "oldSelf":
		if !m.Exists {
			return nothing, true
		}
		return b.oldSelf.read(m.OldSelf, b.opaque), true
	case "key":
		if !utf8.Valid(m.Key) {
			return types.NewErr("the key is not UTF-8"), true
		}
		return types.String(m.Key), true
	case "meta.exists":
		return types.Bool(m.Exists), true
	}
	if m.Record == nil {
		return nil, false
	}
	switch name {
	case "meta.topic":
		return types.String(m.Record.Topic), true
	case "meta.partition":
		return types.Int(m.Record.Partition), true
	case "meta.offset":
		return types.Int(m.Record.Offset), true
	case "meta.timestamp":
		t := time.UnixMilli(m.Record.Timestamp).UTC()
		if y := t.Year(); y < 1 || y > 9999 {
			return types.NewErr("the record's timestamp is not in the years 1 to 9999"), true
		}
		return types.Timestamp{Time: t}, true
	case "meta.headers":
		return headers(m.Record.Headers), true
	}
	return nil, false
}

// nothing is what oldSelf is where the key has no value.
var nothing = types.NewStringInterfaceMap(types.DefaultTypeAdapter, map[string]any{})

func headers(all []policy.Header) ref.Val {
	m := make(map[ref.Val]ref.Val, len(all))
	for _, h := range all {
		if !utf8.Valid(h.Value) {
			m[types.String(h.Key)] = types.NewErr("the header %.64q is not UTF-8", h.Key)
		} else {
			m[types.String(h.Key)] = types.String(h.Value)
		}
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, m)
}

// read is the value of text. What is read is valid until the binding is released.
func (v *value) read(text []byte, opaque bool) ref.Val {
	if v.val != nil {
		return v.val
	}
	switch {
	case !opaque && v.json.doc.Parse(text) == nil:
		v.val = v.json.at(0)
	case utf8.Valid(text):
		v.val = types.String(text)
	default:
		v.val = types.Bytes(text)
	}
	return v.val
}
