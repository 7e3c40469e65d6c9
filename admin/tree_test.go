package admin

import (
	"strings"
	"testing"
)

func TestTree(t *testing.T) {
	root, err := tree([]byte(`{"z":1,"a":[true,null,"x\u003c"],"o":{},"big":12345678901234567890}`))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := pageTemplate.ExecuteTemplate(&b, "node", root); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"object of 4", "array of 3", "object of 0", "12345678901234567890", "&#34;x&lt;&#34;", ">null<"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Index(text, ">z<") > strings.Index(text, ">a<") {
		t.Error("members are not in their order")
	}
	for _, large := range []string{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "[" + strings.Repeat("1,", 50_000) + "1]", `"` + strings.Repeat("é", 10_000) + `"`} {
		root, err := tree([]byte(large))
		if err != nil {
			t.Fatal(err)
		}
		b.Reset()
		if err := pageTemplate.ExecuteTemplate(&b, "node", root); err != nil || b.Len() > 500_000 {
			t.Errorf("%.10s: %v, %d bytes", large, err, b.Len())
		}
		if !strings.Contains(b.String(), "…") {
			t.Errorf("%.10s: it is not said that there is more", large)
		}
	}
}
