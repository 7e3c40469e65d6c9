package respserver

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/respserver/glob"
)

// TestPatternsAreFound compares what the table finds with matching each pattern.
func TestPatternsAreFound(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	text := func(letters string, n int) string {
		var b strings.Builder
		for range random.IntN(n) {
			b.WriteByte(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	var table patternTable
	c := &conn{id: 1}
	there := map[string]bool{}
	for range 5000 {
		p := text(`ab*?[]^\-`, 8)
		if there[p] {
			table.remove(p, c)
			delete(there, p)
		} else {
			table.add(p, c)
			there[p] = true
		}
		channel := []byte(text("ab", 8))
		var got, want []string
		table.matching(channel, func(p *pattern) { got = append(got, string(p.text)) }, func(p *pattern) { t.Errorf("%q of %q takes too long", channel, p.text) })
		for p := range there {
			if glob.Match([]byte(p), channel) {
				want = append(want, p)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q matches %q, want %q", channel, got, want)
		}
	}
	for p := range there {
		table.remove(p, c)
	}
	if len(table.all) != 0 || len(table.begins) != 0 || len(table.lengths) != 0 {
		t.Errorf("left are %d, %d, %v", len(table.all), len(table.begins), table.lengths)
	}
}

// TestADearPattern: one that takes as many steps as its length times the channel's is given up.
func TestADearPattern(t *testing.T) {
	var table patternTable
	c := &conn{id: 1}
	bad := "*" + strings.Repeat("a", 10_000) + "b"
	table.add(bad, c)
	table.add("*a*a*a*", c)
	var found, dear []string
	table.matching(bytes.Repeat([]byte("a"), 1_000_000), func(p *pattern) { found = append(found, string(p.text)) }, func(p *pattern) { dear = append(dear, string(p.text)) })
	if !slices.Equal(found, []string{"*a*a*a*"}) || !slices.Equal(dear, []string{bad}) {
		t.Errorf("%d are found, %d too dear", len(found), len(dear))
	}
}

func BenchmarkMatching(b *testing.B) {
	var table patternTable
	for i := range 10_000 {
		table.add(fmt.Sprintf("__keyspace@0__:user:%d:*", i), &conn{id: int64(i)})
	}
	channel, n := []byte("__keyspace@0__:user:7777:name"), 0
	for b.Loop() {
		table.matching(channel, func(*pattern) { n++ }, func(*pattern) {})
	}
	if n != b.N {
		b.Errorf("%d found", n)
	}
}
