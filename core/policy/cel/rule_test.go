package cel

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/policy"
	"github.com/yolean/kafka-cache/core/sample"
)

func compile(t testing.TB, expression string) *policy.MutationRule {
	t.Helper()
	r, err := Compile(expression)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return r
}

func mutation(self, old string) *policy.Mutation {
	m := &policy.Mutation{Key: []byte("k"), Self: []byte(self), Record: &policy.Record{
		Topic: "users", Partition: 3, Offset: 1 << 40, Timestamp: 1_767_323_045_678,
		Headers: []policy.Header{{Key: []byte("source"), Value: []byte("a")}, {Key: []byte("none")}, {Key: []byte("source"), Value: []byte("b")}, {Key: []byte("bytes"), Value: []byte{0xff}}},
	}}
	if old != "" {
		m.OldSelf, m.Exists = []byte(old), true
	}
	return m
}

func TestRules(t *testing.T) {
	const version = "!has(oldSelf.version) || self.version >= oldSelf.version"
	for _, tt := range []struct{ rule, self, old, want string }{
		// versions
		{version, `{"version":1}`, ``, ""},
		{version, `{"version":1}`, `{}`, ""},
		{version, `{"version":2}`, `{"version":1}`, ""},
		{version, `{"version":1}`, `{"version":2}`, "the rule does not hold"},
		{version, `{"version":1.0}`, `{"version":1}`, ""},
		{version, `{"version":0.5}`, `{"version":1}`, "the rule does not hold"},
		{version, `{"version":9007199254740993}`, `{"version":9007199254740992}`, ""},
		{version, `{"version":9007199254740992}`, `{"version":9007199254740993}`, "the rule does not hold"},
		{version, `{"version":18446744073709551615}`, `{"version":18446744073709551614}`, ""},
		{version, `{"version":-1}`, `{"version":18446744073709551615}`, "the rule does not hold"},
		{version, `{"version":18446744073709551616}`, `{"version":1}`, "the rule cannot be evaluated: the number 18446744073709551616 fits"},
		{version, `{"version":1}`, `{"version":18446744073709551616}`, "the rule cannot be evaluated: no such overload"},
		{version, `{"version":1e999}`, `{"version":1}`, "the rule cannot be evaluated: the number 1e999 fits"},
		{version, `{}`, `{"version":1}`, "the rule cannot be evaluated: no such key: version"},
		{version, `{"version":"2"}`, `{"version":1}`, "the rule cannot be evaluated: no such overload"},
		{version, `{"version":"2"}`, `{"version":"1"}`, ""},
		{version, `{"version":1}`, `{"version":null}`, "the rule cannot be evaluated: no such overload"},
		{version, `"text"`, `{"version":1}`, "the rule cannot be evaluated: no such key: version"},
		{version, `{"version":1}`, `"text"`, ""},
		{version, `not JSON`, `not JSON either`, ""},
		// what there is
		{`meta.exists`, `1`, `{}`, ""},
		{`meta.exists`, `1`, ``, "the rule does not hold"},
		{`oldSelf == {}`, `1`, ``, ""},
		{`size(oldSelf) == 0 && !meta.exists`, `1`, ``, ""},
		{`key == "k" && meta.topic == "users" && meta.partition == 3 && meta.offset == 1099511627776`, `1`, ``, ""},
		{`meta.timestamp == timestamp("2026-01-02T03:04:05.678Z") && meta.timestamp.getHours() == 3`, `1`, ``, ""},
		{`meta.headers.source == "b" && meta.headers["none"] == "" && !("x" in meta.headers) && !has(meta.headers.y)`, `1`, ``, ""},
		{`meta.headers.bytes == ""`, `1`, ``, `the rule cannot be evaluated: the header "bytes" is not UTF-8`},
		// values
		{`self.a == null && has(self.a) && !has(self.b)`, `{"a":null}`, ``, ""},
		{`self == null`, `null`, ``, ""},
		{`self == true && type(self) == bool`, `true`, ``, ""},
		{`self == "é😀" && self.size() == 2`, `"\u00e9\ud83d\ude00"`, ``, ""},
		{`self == "plain text"`, `plain text`, ``, ""},
		{`self == b"\xff\xfe" && type(self) == bytes`, "\xff\xfe", ``, ""},
		{`self == 1 && self == 1.0 && self == 1u && type(self) == int`, `1`, ``, ""},
		{`self == 1 && type(self) == double`, `1.0`, ``, ""},
		{`self == 100 && type(self) == double`, `1e2`, ``, ""},
		{`type(self) == uint && self > 9223372036854775807`, `9223372036854775808`, ``, ""},
		{`self == oldSelf && type(self) != int`, `123456789012345678901234567890`, `123456789012345678901234567890`, ""},
		{`self == oldSelf`, `123456789012345678901234567890`, `123456789012345678901234567891`, "the rule does not hold"},
		{`{"n": 1} == self`, `{"n":1e999}`, ``, "the rule does not hold"},
		{`self == {"n": 1}`, `{"n":1e999}`, ``, "the rule does not hold"},
		{`self.n == 2 && size(self) == 1 && self == {"n": 2.0}`, `{"n":1,"n":2}`, ``, ""},
		{`{"n": 2, "m": [1, {"x": null}]} == self`, `{"m":[1.0,{"x":null}],"n":2}`, ``, ""},
		{`self == oldSelf && self.m != oldSelf.k`, `{"m":[1.0,{"x":null}],"n":2,"k":1}`, `{"k":1,"n":2,"m":[1,{"x":null}]}`, ""},
		{`self == oldSelf`, `[1,[2]]`, `[1,[3]]`, "the rule does not hold"},
		{`self == [1, [2]] && [1, [2]] == self && self + [3] == [1, [2], 3] && [0] + self == [0, 1, [2]]`, `[1,[2]]`, ``, ""},
		{`self.size() == 3 && size(self) == 3 && self[2] == "c" && self[0.0] == "a" && self[1u] == "b"`, `["a","b","c"]`, ``, ""},
		{`self[3] == 1`, `[1]`, ``, "the rule cannot be evaluated: index out of bounds: 3"},
		{`self[-1] == 1`, `[1]`, ``, "the rule cannot be evaluated: index out of bounds: -1"},
		{`self[key.size()] == 2 && self[self[0]] == 2`, `[1,2]`, ``, ""},
		{`self["a"][key.size() - 1].b == 2`, `{"a":[{"b":2}]}`, ``, ""},
		{`2 in self.a && !(3 in self.a) && "a" in self && !("b" in self) && !(1 in self) && null in self.a && 2.0 in self.a`, `{"a":[1,2,null]}`, ``, ""},
		{`self.state in ["NEW", "OPEN"]`, `{"state":"OPEN"}`, ``, ""},
		{`{self: 1}.size() == 1`, "\xff", ``, "the rule cannot be evaluated: "}, // bytes are no keys of maps
		{`self in [b"x", "x"] && !(oldSelf in ["x"])`, `x`, "\xff", ""},
		{`self.a.all(x, x > 0) && self.a.exists(x, x == 2) && self.a.exists_one(x, x > 2) && self.a.filter(x, x > 1) == [2, 3] && self.a.map(x, x * 2) == [2, 4, 6]`, `{"a":[1,2,3]}`, ``, ""},
		{`self.all(k, self[k] >= 0) && self.map(k, k) == ["b", "a"]`, `{"b":1,"a":2}`, ``, ""},
		{`oldSelf.all(k, k in self)`, `{"b":1,"a":2}`, `{"b":3}`, ""},
		{`oldSelf.all(k, k in self)`, `{"b":1,"a":2}`, `{"c":3}`, "the rule does not hold"},
		{`self.?a.?b.orValue(0) == 0 && self.?a.?c.orValue(0) == 3 && oldSelf.?a.?c.orValue(7) == 7`, `{"a":{"c":3}}`, ``, ""},
		{`self.name.lowerAscii().startsWith("ada") && self.name.split(" ").size() == 2 && self.name.matches("^[A-Z].*$") && self.name.indexOf("L") == 4`, `{"name":"ADA Lovelace"}`, ``, ""},
		{`dyn(self).a.b.c[0]["d"] == 5`, `{"a":{"b":{"c":[{"d":5}]}}}`, ``, ""},
		{`self == oldSelf`, `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, ""},
	} {
		err := compile(t, tt.rule).Check(mutation(tt.self, tt.old))
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s of %.80q, %.80q: %v", tt.rule, tt.self, tt.old, err)
			}
			continue
		}
		var r *policy.Refusal
		if !errors.As(err, &r) || !strings.HasPrefix(r.Reason, tt.want) || r.Path != "" {
			t.Errorf("%s of %.80q, %.80q:\n  %v\n  want %s", tt.rule, tt.self, tt.old, err, tt.want)
		}
	}
}

func TestOpaqueValues(t *testing.T) {
	rule, err := Compile(`self == "12" && oldSelf == "true"`, Opaque())
	if err != nil {
		t.Fatal(err)
	}
	if err := rule.Check(mutation("12", "true")); err != nil {
		t.Error(err)
	}
	if plain := compile(t, `self == "12" && oldSelf == "true"`); plain.Check(mutation("12", "true")) == nil || plain.Name == rule.Name {
		t.Error("values are opaque unless asked for, or the names are one")
	}
}

func TestKeyThatIsNotUTF8(t *testing.T) {
	m := mutation("1", "")
	m.Key = []byte{0xff}
	if err := compile(t, `self == 1`).Check(m); err != nil {
		t.Error(err)
	}
	if err := compile(t, `key != "x"`).Check(m); err == nil || !strings.Contains(err.Error(), "the key is not UTF-8") {
		t.Error(err)
	}
}

func TestNoRecord(t *testing.T) {
	m := &policy.Mutation{Key: []byte("k"), Self: []byte("1")}
	if err := compile(t, `self == 1 && key == "k"`).Check(m); err != nil {
		t.Error(err)
	}
	if err := compile(t, `meta.offset == 1`).Check(m); err == nil {
		t.Error("a record that is not there has an offset")
	}
	m.Record = &policy.Record{Timestamp: 1 << 62}
	if err := compile(t, `meta.timestamp == timestamp("2026-01-02T03:04:05Z")`).Check(m); err == nil || !strings.Contains(err.Error(), "not in the years") {
		t.Error(err)
	}
}

func TestCompileErrors(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{``, "compile rule: 1:"},
		{`self.a ==`, "compile rule: 1:"},
		{"self.a == 1 &&\n  slf.b == 2", "compile rule: 2:3: undeclared reference to 'slf' (did"},
		{`slf.b == other`, "compile rule: 1:1: undeclared reference to 'slf' (did you mean 'self'?) (and 1 more)"},
		{`meta.topc == "a"`, "compile rule: 1:"},
		{`key == 1`, "compile rule: 1:5: found no matching overload"},
		{`self.a`, "compile rule: 1:1: it is of type dyn, not bool: compare it"},
		{`"yes"`, "compile rule: 1:1: it is of type string, not bool"},
		{`key.matches("(")`, "compile rule: 1:13: invalid matches argument"},
		{`key.matches(self.pattern)`, "compile rule: 1:17: what matches is given has to be a literal"},
		{`matches(key, self.pattern)`, "compile rule: 1:18: what matches is given has to be a literal"},
		{`matches(self.s, "a")`, ""},
		{`self.a.replace("", self.b) == ""`, "compile rule: 1:24: what replace is given has to be a literal"},
		{`self.a.replace("-", "") == ""`, ""},
		{`self.a.indexOf(self.b) == 1`, "compile rule: 1:20: what indexOf is given has to be a literal"},
		{`key.matches("` + strings.Repeat("a{999}", 9) + `")`, "compile rule: 1:"},
		{`now() > meta.timestamp`, "compile rule: 1:4: undeclared reference to 'now'"},
		{strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), "compile rule: "},
	} {
		_, err := Compile(tt.rule)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.rule, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80s:\n  %v\n  want %s", tt.rule, err, tt.want)
		}
	}
}

// Loops over what a record has end by steps, and what has no loops by itself.
func TestNoChangeTakesForEver(t *testing.T) {
	many := `[` + strings.Repeat(`"aaaaaaaaaaaaaaaaaaaa",`, 30_000) + `1]`
	long := `{"a":"` + strings.Repeat("a", 1<<18) + `","b":"` + strings.Repeat("a", 1<<17) + `b"}`
	for _, tt := range []struct{ rule, self, want string }{
		{`self.all(a, self.all(b, self.exists(c, c == 2) || true))`, many, "the rule takes more than 1000000 steps on this change"},
		{`self.map(a, self.map(b, [a, b])).size() == 0`, many, "the rule takes more than"},
		{`self.all(a, self[20000] == a || true) && self.all(a, a in self)`, many, ""},
		{`self.a.contains(self.b) || self.a + self.b + self.a == ""`, long, "the rule does not hold"},
		{`self.a.matches("(a|a)*(a?){50}c")`, long, "the rule does not hold"},
		{`self.a.split("").size() == 1`, long, "the rule does not hold"},
		{`self.a.replace("", "xxxxxxxxxx") == ""`, long, "the rule does not hold"},
	} {
		start := time.Now()
		err := compile(t, tt.rule).Check(mutation(tt.self, ""))
		took := time.Since(start)
		if tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %s", tt.rule, err, tt.want)
		}
		t.Logf("%s: %v, %v", tt.rule, took, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	rule := compile(t, `self.n == oldSelf.n && self.a.all(x, x > 0)`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if err := rule.Check(mutation(`{"n":1,"a":[1,2]}`, `{"n":1.0}`)); err != nil {
					t.Error(err)
					return
				}
				if rule.Check(mutation(`{"n":1,"a":[1,0]}`, `{"n":1.0}`)) == nil {
					t.Error("not refused")
					return
				}
			}
		})
	}
	wg.Wait()
}

// The rule's name says which library decides, and what.
func TestName(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), library+"\n") {
		t.Errorf("go.mod does not require %s", library)
	}
	if a, b := compile(t, `true`).Name, compile(t, `false`).Name; a == b || !strings.Contains(a, library) {
		t.Errorf("%s, %s", a, b)
	}
}

func BenchmarkCheck(b *testing.B) {
	model := sample.Model{Seed: 1, Organizations: 100, Users: 1000}
	var values [][]byte
	for i := range model.Users {
		v, err := sample.Encode(model.User(i))
		if err != nil {
			b.Fatal(err)
		}
		values = append(values, append(v[:len(v)-1:len(v)-1], `,"version":12}`...))
	}
	for _, bb := range []struct{ name, rule string }{
		{"version", `!has(oldSelf.version) || self.version >= oldSelf.version`},
		{"members", `!meta.exists || self.id != "" && oldSelf.displayName != self.id`},
		{"set", `!(self.displayName in ["a", "b", "c"])`},
		{"pattern", `self.id.matches("^[0-9a-f-]+$")`},
		{"whole", `!meta.exists || self != oldSelf || self == oldSelf`},
		{"loop", `self.groups.all(g, g.size() == 36)`},
		{"meta", `meta.offset >= 0`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			rule := compile(b, bb.rule)
			m := mutation("", "")
			m.Exists = true
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m.Self, m.OldSelf = values[i%len(values)], values[(i+1)%len(values)]
				if err := rule.Check(m); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "evaluations/s")
		})
	}
}
