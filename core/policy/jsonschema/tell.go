package jsonschema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/yolean/kafka-cache/core/policy"
)

// tell is the place and the reason that tell most of why a value does not match: the deepest one. Of alternatives it is that of
// the one that matched furthest, and where several did, all of them. The same value has the same reason, whatever order the
// library found them in.
func tell(e *jsonschema.ValidationError) (path, reason string) {
	f := find(e)
	return f.path(), policy.Line(f.reason)
}

// failure is one reason, where it is, and how deep the shallowest is of all the reasons that it was chosen from.
type failure struct {
	at     []string
	reason string
	got    int
}

// maxPath is the length of a path: of one that is longer, it is what the fault is within.
const maxPath = 512

func (f failure) path() string {
	var b strings.Builder
	for _, token := range f.at {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
		if b.Len()+1+len(token) > maxPath {
			break
		}
		b.WriteByte('/')
		b.WriteString(token)
	}
	return b.String()
}

// compare orders failures: the one that tells more comes first.
func compare(a, b failure) int {
	return cmp.Or(cmp.Compare(len(b.at), len(a.at)), slices.Compare(a.at, b.at), cmp.Compare(a.reason, b.reason))
}

func find(e *jsonschema.ValidationError) failure {
	own := failure{at: e.InstanceLocation, reason: describe(e), got: len(e.InstanceLocation)}
	if len(e.Causes) == 0 {
		return own
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Contains, *kind.MinContains:
		return own // that some items do not match is as it should be
	case *kind.PropertyNames:
		own.reason = fmt.Sprintf("the name %.64q: %s", k.Property, find(e.Causes[0]).reason)
		return own
	case *kind.ContentSchema:
		return own
	}
	causes := make([]failure, len(e.Causes))
	for i, c := range e.Causes {
		causes[i] = find(c)
	}
	slices.SortFunc(causes, compare)
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		return alternatives(own, causes)
	}
	best := causes[0]
	for _, c := range causes {
		best.got = min(best.got, c.got)
	}
	return best
}

// alternatives is the failure of a value that matches none of several schemas.
func alternatives(own failure, causes []failure) failure {
	slices.SortStableFunc(causes, func(a, b failure) int { return cmp.Compare(b.got, a.got) })
	if len(causes) == 1 || causes[0].got > causes[1].got {
		causes[0].got = own.got
		return causes[0]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "none of %d alternatives matches: ", len(causes))
	for i, c := range causes {
		if i > 0 {
			b.WriteString("; ")
		}
		if len(c.at) > len(own.at) {
			fmt.Fprintf(&b, "%s: ", failure{at: c.at[len(own.at):]}.path())
		}
		b.WriteString(c.reason)
		if b.Len() > 400 {
			break
		}
	}
	own.reason = b.String()
	return own
}

// describe is what is wrong, in words that are about the value. It is of bounded length, apart from what the schema itself says.
func describe(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.FalseSchema:
		return "nothing is allowed here"
	case *kind.Not:
		return "it matches what it must not"
	case *kind.Type:
		return fmt.Sprintf("%s, not %s", k.Got, strings.Join(k.Want, " or "))
	case *kind.Required:
		return names("missing", k.Missing)
	case *kind.Dependency:
		return names("missing beside "+quote(k.Prop), k.Missing)
	case *kind.DependentRequired:
		return names("missing beside "+quote(k.Prop), k.Missing)
	case *kind.AdditionalProperties:
		slices.Sort(k.Properties)
		return names("not allowed", k.Properties)
	case *kind.Pattern:
		return fmt.Sprintf("%s does not match %q", quote(k.Got), k.Want)
	case *kind.Format:
		return fmt.Sprintf("%s is no %s: %s", value(k.Got), k.Want, short(k.Err.Error()))
	case *kind.Const:
		return fmt.Sprintf("%s is not %s", value(k.Got), value(k.Want))
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = value(w)
		}
		return fmt.Sprintf("%s is none of %s", value(k.Got), strings.Join(want, ", "))
	case *kind.UniqueItems:
		return fmt.Sprintf("items %d and %d are the same", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "no item matches what one has to"
	case *kind.MinContains:
		return fmt.Sprintf("%d items match what at least %d have to", len(k.Got), k.Want)
	case *kind.MaxContains:
		return fmt.Sprintf("%d items match what at most %d may", len(k.Got), k.Want)
	}
	if out := e.DetailedOutput(); out.Error != nil {
		return short(out.Error.String())
	}
	return "it does not match"
}

func names(what string, all []string) string {
	quoted := make([]string, 0, len(all))
	for i, n := range all {
		if i == 8 {
			quoted = append(quoted, "…")
			break
		}
		quoted = append(quoted, quote(n))
	}
	return what + ": " + strings.Join(quoted, ", ")
}

func quote(s string) string { return fmt.Sprintf("%.64q", s) }

func short(s string) string { return fmt.Sprintf("%.200s", s) }

// value shows v where it is small.
func value(v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	case nil:
		return "null"
	}
	return fmt.Sprintf("%.64s", fmt.Sprint(v))
}
