package jsonschema

import (
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// instance is a compiled schema that counts the steps of its evaluation.
//
// The library has no bound of its own: a schema that branches where it recurs takes a time that grows exponentially with how deep
// a value nests. It has one call that it makes for every schema that it tries on a value, before it goes further into either: the
// one that checks a format. So each schema gets one that counts, and then asks the schema's own.
type instance struct {
	full, negated *jsonschema.Schema

	metered map[*jsonschema.Schema]bool
	steps   int
	limit   int
	weight  int
}

// run is whether the schema takes v, or an error where that cannot be told. A step within a value counts as much as weight says.
func (i *instance) run(s *jsonschema.Schema, v any, limit, weight int) (refused, err error) {
	i.steps, i.limit, i.weight = 0, limit, weight
	defer func() {
		switch r := recover(); r {
		case nil:
		case errSteps:
			err = errSteps
		default:
			err = fmt.Errorf("the schema cannot be evaluated on this value: %v", r)
		}
	}()
	return s.Validate(v), nil
}

func (i *instance) spend(steps int) {
	if i.steps += steps * i.weight; i.steps > i.limit {
		panic(errSteps)
	}
}

// meter makes s, and all schemas that it leads to, count.
func (i *instance) meter(s *jsonschema.Schema) {
	if s == nil || i.metered[s] {
		return
	}
	if i.metered == nil {
		i.metered = map[*jsonschema.Schema]bool{}
	}
	i.metered[s] = true
	if s.Bool == nil {
		counted := &jsonschema.Format{Validate: func(any) error { return nil }}
		if s.Format != nil {
			counted.Name = s.Format.Name
		}
		format := s.Format
		counted.Validate = func(v any) error {
			i.spend(cost(s, v))
			if format != nil {
				return format.Validate(v)
			}
			return nil
		}
		s.Format = counted
	}
	for sub := range schemas(s) {
		i.meter(sub)
	}
}

// cost is how many steps s takes on v itself. What it tries on what is in v comes when it is tried.
func cost(s *jsonschema.Schema, v any) int {
	n := 1
	switch v := v.(type) {
	case string:
		n += len(v) / 64
		if s.Pattern != nil || s.Format.Name != "" {
			n += len(v) / 2 // some 50 ns a byte
		}
	case []any:
		n += len(v)
	case map[string]any:
		n += len(v)
		if len(s.PatternProperties) > 0 {
			for name := range v {
				n += (1 + len(name)/2) * len(s.PatternProperties)
			}
		}
	}
	if s.UniqueItems || s.Const != nil || s.Enum != nil {
		n += size(v)
	}
	return n
}

// size is what comparing v takes.
func size(v any) int {
	n := 1
	switch v := v.(type) {
	case string:
		n += len(v) / 64
	case []any:
		for _, item := range v {
			n += size(item)
		}
	case map[string]any:
		for name, member := range v {
			n += 1 + len(name)/64 + size(member)
		}
	}
	return n
}
