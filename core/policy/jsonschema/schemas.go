package jsonschema

import (
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas are those that s tries on a value or on what is in it.
func schemas(s *jsonschema.Schema) iter.Seq[*jsonschema.Schema] {
	return func(yield func(*jsonschema.Schema) bool) {
		one := []*jsonschema.Schema{
			s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020,
			s.UnevaluatedItems, s.ContentSchema,
		}
		if s.DynamicRef != nil {
			one = append(one, s.DynamicRef.Ref)
		}
		all := slices.Concat(one, s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems,
			slices.Collect(maps.Values(s.Properties)), slices.Collect(maps.Values(s.PatternProperties)), slices.Collect(maps.Values(s.DependentSchemas)))
		either := []any{s.AdditionalProperties, s.Items, s.AdditionalItems}
		for _, d := range s.Dependencies {
			either = append(either, d)
		}
		for _, e := range either {
			switch e := e.(type) {
			case *jsonschema.Schema:
				all = append(all, e)
			case []*jsonschema.Schema:
				all = append(all, e...)
			}
		}
		for _, sub := range all {
			if sub != nil && !yield(sub) {
				return
			}
		}
	}
}

// dynamicAnchors are the JSON Pointers to what has one.
func dynamicAnchors(v any, at string) iter.Seq[string] {
	return func(yield func(string) bool) {
		within := func(v any, token string) bool {
			token = strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
			for p := range dynamicAnchors(v, at+"/"+url.PathEscape(token)) {
				if !yield(p) {
					return false
				}
			}
			return true
		}
		switch v := v.(type) {
		case map[string]any:
			if _, ok := v["$dynamicAnchor"].(string); ok && !yield(at) {
				return
			}
			for name, member := range v {
				if !within(member, name) {
					return
				}
			}
		case []any:
			for i, item := range v {
				if !within(item, strconv.Itoa(i)) {
					return
				}
			}
		}
	}
}
