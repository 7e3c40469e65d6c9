package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// rangeModes are stores whose ranges differ: values in Pebble, and in the index alone.
var rangeModes = []string{"dir", "memory"}

func openForRange(t *testing.T, mode string) *Store {
	t.Helper()
	o := testOptions(t)
	if mode == "memory" {
		o = Options{}
	}
	return mustOpen(t, o)
}

func applyKeys(t *testing.T, s *Store, offset int64, keys ...string) {
	t.Helper()
	b := &Batch{Next: offset + int64(len(keys))}
	for i, k := range keys {
		m := Mutation{Key: []byte(strings.TrimPrefix(k, "-")), Offset: offset + int64(i), Tombstone: strings.HasPrefix(k, "-")}
		if !m.Tombstone {
			m.Value = fmt.Appendf(nil, "%s@%d", k, m.Offset)
		}
		b.Mutations = append(b.Mutations, m)
	}
	if err := s.Apply(b, nil); err != nil {
		t.Fatal(err)
	}
}

func keysOf(t *testing.T, s *Store, o RangeOptions) []string {
	t.Helper()
	var keys []string
	if err := s.RangeWith(o, func(e Entry) bool { keys = append(keys, string(e.Key)); return true }); err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestRangeWithChangesMeanwhile: a range in either direction goes on over keys that are added, changed and removed while it is under way.
func TestRangeWithChangesMeanwhile(t *testing.T) {
	for _, mode := range rangeModes {
		for _, o := range []RangeOptions{{}, {Reverse: true}, {KeysOnly: true}, {Reverse: true, KeysOnly: true}} {
			t.Run(fmt.Sprintf("%s reverse=%v keys=%v", mode, o.Reverse, o.KeysOnly), func(t *testing.T) {
				s := openForRange(t, mode)
				applyKeys(t, s, 0, "a", "b", "c", "d", "e")
				var met []string
				err := s.RangeWith(o, func(e Entry) bool {
					if len(met) == 0 {
						applyKeys(t, s, 5, "-c", "d", "bb", "-nothing")
					}
					met = append(met, fmt.Sprintf("%s=%s@%d", e.Key, e.Value, e.Offset))
					return true
				})
				if err != nil {
					t.Fatal(err)
				}
				c, d, changed := "c=c@2@2", "d=d@3@3", "d=d@6@6"
				if o.KeysOnly {
					c, d, changed = "c=@2", "d=@3", "d=@6"
				}
				want := []string{"a=a@0@0", "b=b@1@1", c, d, "e=e@4@4"}
				if o.KeysOnly {
					want = []string{"a=@0", "b=@1", c, d, "e=@4"}
				}
				if mode == "memory" { // values are those of the moment at which they are met
					want = slices.DeleteFunc(want, func(e string) bool { return e == c })
					want[slices.Index(want, d)] = changed
				}
				if o.Reverse {
					slices.Reverse(want)
				}
				if !slices.Equal(met, want) {
					t.Errorf("met %v, want %v", met, want)
				}
				if keys := keysOf(t, s, RangeOptions{}); !slices.Equal(keys, []string{"a", "b", "bb", "d", "e"}) {
					t.Errorf("afterwards there are %v", keys)
				}
			})
		}
	}
}

// TestRangeEnds: what bounds leave, and that a callback that has enough is not called again.
func TestRangeEnds(t *testing.T) {
	for _, mode := range rangeModes {
		t.Run(mode, func(t *testing.T) {
			s := openForRange(t, mode)
			applyKeys(t, s, 0, "a", "b", "b\x00", "b\xff", "c", "\xff", "\xff\xff")
			for _, c := range []struct{ lower, upper, want string }{
				{"", "", "a b b\x00 b\xff c \xff \xff\xff"},
				{"b", "c", "b b\x00 b\xff"},
				{"b\x00", "b\xff", "b\x00"},
				{"\xff", "", "\xff \xff\xff"},
				{"c", "c", ""},
				{"d", "c", ""},
				{"d", "e", ""},
			} {
				o := RangeOptions{Lower: []byte(c.lower)}
				if c.upper != "" {
					o.Upper = []byte(c.upper)
				}
				want := strings.Fields(c.want)
				for range 2 {
					if keys := keysOf(t, s, o); !slices.Equal(keys, want) {
						t.Errorf("%+q: %q, want %q", c, keys, want)
					}
					slices.Reverse(want)
					o.Reverse = true
				}
			}
			calls := 0
			if err := s.RangeWith(RangeOptions{Reverse: true}, func(e Entry) bool { calls++; return calls < 2 }); err != nil || calls != 2 {
				t.Errorf("%d calls, %v", calls, err)
			}
		})
	}
}

// TestReverseRangeEndsWithClose: a range in the other direction notices Close between two entries as well.
func TestReverseRangeEndsWithClose(t *testing.T) {
	s := openForRange(t, "dir")
	applyKeys(t, s, 0, "a", "b", "c")
	closed := make(chan error, 1)
	calls := 0
	err := s.RangeWith(RangeOptions{Reverse: true}, func(Entry) bool {
		if calls++; calls == 1 {
			go func() { closed <- s.Close() }()
			for s.Flush() == nil { // until Close has shut the gate
				time.Sleep(time.Millisecond)
			}
		}
		return true
	})
	if !errors.Is(err, ErrClosed) || calls != 1 {
		t.Errorf("%v after %d entries", err, calls)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestGetVersion(t *testing.T) {
	s := openForRange(t, "memory")
	applyKeys(t, s, 0, "a", "b", "a")
	value, partition, offset, ok, err := s.GetVersion([]byte("x"), []byte("a"))
	if string(value) != "xa@2" || partition != 0 || offset != 2 || !ok || err != nil {
		t.Errorf("%q of %d/%d, %v, %v", value, partition, offset, ok, err)
	}
	if _, _, _, ok, err := s.GetVersion(nil, []byte("c")); ok || err != nil {
		t.Errorf("an absent key: %v, %v", ok, err)
	}
}
