package cel

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/policy/internal/jsondoc"
)

// whole is a document as values of CEL's own, all of them made.
func whole(t testing.TB, text string) ref.Val {
	t.Helper()
	var d jsondoc.Document
	if err := d.Parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return types.DefaultTypeAdapter.NativeToValue(native2(d.Any(0)))
}

func native2(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case []any:
		for i := range v {
			v[i] = native2(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = native2(v[k])
		}
		return v
	}
	return v
}

// random is a JSON text; names and scalars are few, so that they are often the same.
func random(r *rand.Rand, depth int) string {
	kinds := 6
	if depth > 0 {
		kinds = 12
	}
	switch r.IntN(kinds) {
	case 0:
		return "null"
	case 1:
		return strconv.FormatBool(r.IntN(2) == 0)
	case 2:
		return []string{"0", "1", "-1", "2", "9007199254740993", "9223372036854775808"}[r.IntN(6)]
	case 3:
		return []string{"0.0", "1.0", "-1e0", "0.5", "1e3", "9007199254740992.0"}[r.IntN(6)]
	case 4, 5:
		return []string{`""`, `"a"`, `"b"`, `"\u0061"`, `"é"`, `"\ud83d\ude00"`, `"1"`}[r.IntN(7)]
	case 6, 7, 8:
		items := make([]string, size(r))
		for i := range items {
			items[i] = random(r, depth-1)
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	members := make([]string, size(r))
	for i := range members {
		members[i] = []string{`"a"`, `"b"`, `"c"`, `"\u0061"`, `"` + strconv.Itoa(r.IntN(30)) + `"`}[r.IntN(5)] + ":" + random(r, depth-1)
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func size(r *rand.Rand) int {
	if r.IntN(20) == 0 {
		return few + r.IntN(3*few)
	}
	return r.IntN(5)
}

// What rules see of a document must be what they see of one that was parsed as a whole, whatever they do with it.
var expressions = []string{
	`self == oldSelf`, `self != oldSelf`, `oldSelf == self`, `self < oldSelf`, `self >= oldSelf`, `self == 1`, `self == "a"`, `self == null`, `self == [1.0, "a"]`, `{"a": 1} == self`,
	`self == {"a": oldSelf}`, `[self] == [oldSelf]`, `self in [1, "a", null, true, 0.5]`, `self in [oldSelf]`, `self in oldSelf`, `oldSelf in self`, `"a" in self`, `1 in self`, `null in self`,
	`has(self.a)`, `has(self.a.b)`, `self.a == oldSelf.a`, `self["a"] == oldSelf["b"]`, `self.a.b > 0`, `self[0] == oldSelf[0]`, `self[1] != oldSelf[1]`, `self[2.0] == 1`, `self[0u] == 1`,
	`self[-1] == 1`, `self[20] == oldSelf[20]`, `self["5"] == self["7"]`, `self[oldSelf] == 1`, `self.a[0].b == 1`, `self.a[0]["b"][1] == "a"`,
	`size(self) > 2`, `self.size() == oldSelf.size()`, `size(self.a) == 1`, `type(self) == type(oldSelf)`, `type(self) == map`, `type(self) == list`, `type(self) == double`,
	`self.all(x, x != null)`, `self.exists(x, x == "a")`, `self.exists_one(x, x == 1)`, `self.all(k, self[k] == oldSelf[k])`, `self.map(x, x).size() == oldSelf.map(x, x).size()`,
	`self.filter(x, x in oldSelf).size() > 0`, `self.all(x, oldSelf.exists(y, x == y))`, `self.exists(k, k == "\u00e9" || k == "c")`, `self.map(x, x == 1, [x]) == [[1]]`, `self.all(x, type(x) == string)`,
	`self + oldSelf == [1]`, `(self + oldSelf).size() > 3`, `self + [1] == [1] + self`, `self.?a.hasValue()`, `self.?a.?b == oldSelf.?a.?b`, `self.?a[?0].orValue(7) == 7`, `self[?1].orValue(0) == 0`,
	`optional.ofNonZeroValue(self).hasValue()`, `dyn(self) == dyn(oldSelf)`, `string(self) == "1"`, `int(self) == 1`, `double(self) == 1.0`, `self ? true : false`, `!self`, `-self == 1`, `self + 1 == 2`, `self.a + self.b == 2`,
	`self.startsWith("a")`, `self.contains(oldSelf)`, `{"x": self}.x == self`, `{"x": self}.x.a == oldSelf.a`, `[self, oldSelf].all(x, has(x.a))`,
}

func TestViewsAreWhatTheWholeIs(t *testing.T) {
	env, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]cel.Program{}
	for _, e := range expressions {
		a, issues := env.Compile(e)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", e, issues.Err())
		}
		p, err := env.Program(a)
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		programs[e] = p
	}
	r := rand.New(rand.NewPCG(1, 2))
	rounds := 250
	if testing.Short() {
		rounds = 50
	}
	trues := map[string]int{}
	for range rounds {
		self := random(r, 3)
		old := self
		if r.IntN(3) > 0 {
			old = random(r, 3)
		}
		differ(t, programs, self, old, trues)
	}
	for _, e := range expressions {
		if trues[e] == 0 && rounds >= 250 {
			t.Logf("%s was never true", e)
		}
	}
	if len(trues) < len(programs)/2 {
		t.Errorf("only %d of %d expressions were ever true: the documents say nothing", len(trues), len(programs))
	}
}

func differ(t *testing.T, programs map[string]cel.Program, self, old string, trues map[string]int) {
	t.Helper()
	for e, p := range programs {
		b := bindings.Get().(*binding)
		b.mutation, b.opaque = &policy.Mutation{Self: []byte(self), OldSelf: []byte(old), Exists: true}, false
		got, gotErr := outcome(p.Eval(b))
		b.release()
		want, wantErr := outcome(p.Eval(map[string]any{"self": whole(t, self), "oldSelf": whole(t, old)}))
		if got != want || gotErr != wantErr {
			t.Errorf("%s of %s and %s:\n  seen: %s %s\n whole: %s %s", e, self, old, got, gotErr, want, wantErr)
		}
		if got == "true" {
			trues[e]++
		}
	}
}

// outcome leaves out what an error says of the Go types of what it is about.
func outcome(v ref.Val, _ *cel.EvalDetails, err error) (value, failed string) {
	if err != nil {
		failed, _, _ = strings.Cut(err.Error(), ":")
		return "", failed
	}
	return fmt.Sprint(v.Value()), ""
}

func TestViewAlone(t *testing.T) {
	var w view
	if err := w.doc.Parse([]byte(`{"a":[1,{"b":2}],"c":1e999,"a":[]}`)); err != nil {
		t.Fatal(err)
	}
	o := w.at(0).(*object)
	if got := fmt.Sprint(o.Value()); got != "map[a:[] c:1e999]" {
		t.Error(got)
	}
	if o.Contains(types.String("c")) != types.True || o.Contains(types.Int(1)) != types.False || o.IsZeroValue() {
		t.Error("what it contains")
	}
	if v := o.Get(types.String("x")); !types.IsError(v) {
		t.Error(v)
	}
	names := []string{}
	for it := o.Iterator(); it.HasNext() == types.True; {
		names = append(names, string(it.Next().(types.String)))
	}
	if fmt.Sprint(names) != "[c a]" {
		t.Error(names)
	}
	l := o.Get(types.String("a")).(traits.Lister)
	if l.Iterator().HasNext() != types.False || !types.IsError(l.Get(types.String("x"))) || !types.IsError(l.Add(types.Int(1))) {
		t.Error("the list")
	}
	c := o.Get(types.String("c"))
	if c.Type() != unwieldyType || c.Equal(c) != types.True || c.Equal(types.Double(1)) != types.False || c.ConvertToType(types.TypeType) != unwieldyType || !types.IsError(c.ConvertToType(types.IntType)) {
		t.Error("the number")
	}
}

func FuzzCheck(f *testing.F) {
	var rules []*policy.MutationRule
	for _, e := range expressions {
		if r, err := Compile(e); err == nil { // else it is no bool by itself
			rules = append(rules, r)
		}
	}
	if len(rules) < len(expressions)/2 {
		f.Fatal("most expressions do not compile")
	}
	f.Add([]byte(`{"a":[1,{"b":[0,"a"]}],"b":1}`), []byte(`{"a":[1.0,{"b":[0,"a"]}],"b":1,"b":2}`))
	f.Add([]byte(`not JSON`), []byte("\xff"))
	f.Add([]byte(`[1e999,123456789012345678901234567890]`), []byte(`[[],{},"\ud83d"]`))
	f.Fuzz(func(t *testing.T, self, old []byte) {
		for _, r := range rules {
			err := r.Check(&policy.Mutation{Self: self, OldSelf: old, Exists: true})
			if err != nil && (len(err.Error()) > 520 || strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(err.Error(), "internal error")) {
				t.Fatalf("%q", err)
			}
		}
	})
}
