package main

import "testing"

func TestParseTopic(t *testing.T) {
	for s, want := range map[string]topic{"users": {"users", 4}, "a.b:12": {"a.b", 12}} {
		if got, err := parseTopic(s); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", ":3", "users:", "users:0", "users:x", "users:99999999999"} {
		if got, err := parseTopic(s); err == nil {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
}
