package glob

import (
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "abc", true}, {"?", "", false}, {"?", "a", true}, {"a", "", false},
		{"user:*", "user:1", true}, {"user:*", "use", false}, {"*:1", "user:1", true}, {"*:1", "user:1:1", true}, {"*:1*2", "user:1:2", true},
		{"h?llo", "hello", true}, {"h[ae]llo", "hallo", true}, {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true}, {"h[^e]llo", "hello", false},
		{"h[a-b]llo", "hbllo", true}, {"h[b-a]llo", "hallo", true}, {"h[a-b]llo", "hcllo", false},
		{`\*`, "*", true}, {`\*`, "a", false}, {`a\`, `a\`, true}, {`[\]]`, "]", true}, {`[\-a]`, "-", true},
		{"[abc", "c", true}, {"[a-", "-", true}, {"[", "a", false}, {"[^", "a", true}, {"[]", "a", false}, {"[^]", "a", true},
		{"*a*b", "xaxxb", true}, {"*a*b", "xaxxbc", false}, {"a*?", "a", false}, {"[a-z]*[0-9]", "key7", true}, {"K*", "key", false},
		{"*\x00*", "a\x00b", true}, {"[\x80-\xff]", "\xc3", true},
	} {
		if got := Match([]byte(c.pattern), []byte(c.s)); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
	fold := Budget{Left: 1000, Fold: true}
	if !fold.Match([]byte("MAX[A-C]*"), []byte("maxclients")) || fold.Match([]byte("MAXX*"), []byte("maxclients")) || fold.Left < 900 {
		t.Errorf("folding case, with %d steps left", fold.Left)
	}
}

func TestNoExponentialBlowUp(t *testing.T) {
	s := []byte(strings.Repeat("a", 20_000))
	pattern := []byte(strings.Repeat("a*", 40) + "b")
	begin := time.Now()
	if Match(pattern, s) {
		t.Error("matches")
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}
