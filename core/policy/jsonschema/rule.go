package jsonschema

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/policy/internal/jsondoc"
)

// rule checks values with instances of its schema, each used by one goroutine at a time: an instance counts the steps of the
// value that it is at.
type rule struct {
	source *source
	idle   chan *instance
}

func newRule(s *source, first *instance) *rule {
	r := &rule{source: s, idle: make(chan *instance, max(runtime.GOMAXPROCS(0), 4))}
	r.idle <- first
	return r
}

func (r *rule) get() (*instance, error) {
	select {
	case i := <-r.idle:
		return i, nil
	default:
		return r.source.instance()
	}
}

func (r *rule) put(i *instance) {
	select {
	case r.idle <- i:
	default:
	}
}

func (r *rule) check(_, value []byte) error {
	d := jsondoc.Get()
	defer jsondoc.Put(d)
	if err := d.Parse(value); err != nil {
		return &policy.Refusal{Reason: err.Error()}
	}
	if offset, ok := d.Unwieldy(); ok {
		return &policy.Refusal{Reason: fmt.Sprintf(
			"the number at byte %d has more than %d characters or an exponent beyond ±%d", offset, jsondoc.MaxNumber, jsondoc.MaxExponent)}
	}
	i, err := r.get()
	if err != nil {
		return fmt.Errorf("compile schema: %w", r.source.explain(err))
	}
	defer r.put(i)
	return i.check(d)
}

// How many steps a value may take; one is some 100 ns. The second is of those that also look for the reason, which costs memory
// for each value that does not match.
const (
	maxSteps        = 2_000_000
	maxExplainSteps = 200_000
)

var errSteps = errors.New("the schema asks for too many steps on this value")

// check decides first and then, where a value does not match, goes through it again for the reason.
func (i *instance) check(d *jsondoc.Document) error {
	v := d.Any(0)
	refused, err := i.run(i.negated, v, maxSteps, 1)
	if err != nil {
		return &policy.Refusal{Reason: err.Error()}
	}
	if refused != nil { // it is not the case that it does not match
		return nil
	}
	// Each reason has its path, which is as long as the value is deep.
	refused, err = i.run(i.full, v, maxExplainSteps, 1+d.Depth()/16)
	var fault *jsonschema.ValidationError
	switch {
	case errors.Is(err, errSteps):
		return &policy.Refusal{Reason: "it does not match the schema, and is too large to say where"}
	case err != nil:
		return &policy.Refusal{Reason: err.Error()}
	case errors.As(refused, &fault):
		path, reason := tell(fault)
		return &policy.Refusal{Path: path, Reason: reason}
	}
	return &policy.Refusal{Reason: "it does not match the schema"}
}
