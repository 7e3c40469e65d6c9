package cel

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/yolean/kafka-cache/core/policy/internal/jsondoc"
)

// view shows a JSON document as values of CEL, made when they are asked for. It is for one evaluation.
type view struct {
	doc jsondoc.Document
	// What is looked at again and again is looked up: by the node of an array or an object that has more than few.
	items   map[jsondoc.Node][]jsondoc.Node
	members map[jsondoc.Node]map[string]jsondoc.Node
}

// few is how many items or members are walked rather than looked up.
const few = 16

// keptText is how large a document may be for what it took to be kept for the next one.
const keptText = 64 << 10

func (w *view) release() {
	w.items, w.members = nil, nil
	if len(w.doc.Text()) > keptText {
		w.doc = jsondoc.Document{}
	}
}

// at is the value of n.
func (w *view) at(n jsondoc.Node) ref.Val {
	switch w.doc.Kind(n) {
	case jsondoc.False:
		return types.False
	case jsondoc.True:
		return types.True
	case jsondoc.Number:
		return number(w.doc.Number(n))
	case jsondoc.String:
		return types.String(w.doc.Str(n))
	case jsondoc.Array:
		return &list{w, n}
	case jsondoc.Object:
		return &object{w, n}
	}
	return types.NullValue
}

// number is a JSON number as an int, a uint, a double or an error.
func number(text string) ref.Val {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return types.Int(i)
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return types.Uint(u)
		}
		return unwieldy(text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return unwieldy(text)
	}
	return types.Double(f)
}

// unwieldy is a number that is neither an int, a uint nor a double. It equals what is written the same; everything else that could
// be done with it is an error.
type unwieldy string

var unwieldyType = types.NewObjectType("number", traits.ComparerType)

// Equal tells whether other is written the same.
func (u unwieldy) Equal(other ref.Val) ref.Val {
	o, ok := other.(unwieldy)
	return types.Bool(ok && o == u)
}

// Compare is an error.
func (u unwieldy) Compare(ref.Val) ref.Val {
	return types.NewErr("the number %.40s fits neither int, uint nor double", string(u))
}

// Type is one of its own.
func (u unwieldy) Type() ref.Type { return unwieldyType }

// Value is how it is written.
func (u unwieldy) Value() any { return string(u) }

// ConvertToType is what type() asks.
func (u unwieldy) ConvertToType(t ref.Type) ref.Val { return convert(u, t, unwieldyType) }

// ConvertToNative has no use here.
func (u unwieldy) ConvertToNative(t reflect.Type) (any, error) { return native(u, t) }

func convert(v ref.Val, to ref.Type, own *types.Type) ref.Val {
	switch to {
	case own:
		return v
	case types.TypeType:
		return own
	}
	return types.NewErr("type conversion error from '%s' to '%s'", own, to)
}

// native is for callers outside of an expression, of which there are none.
func native(v ref.Val, to reflect.Type) (any, error) {
	if reflect.TypeOf(v).AssignableTo(to) {
		return v, nil
	}
	return nil, fmt.Errorf("a value of a record is no %s", to)
}
