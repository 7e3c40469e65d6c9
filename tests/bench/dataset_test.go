package main

import (
	"encoding/json"
	"regexp"
	"testing"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestEntries(t *testing.T) {
	seen := map[string]bool{}
	for i := range uint64(20_000) {
		key := string(appendKey(nil, i))
		if !uuid.MatchString(key) || len(key) != keySize {
			t.Fatalf("key %d is %q", i, key)
		}
		if seen[key] {
			t.Fatalf("key %d is one of an earlier entry", i)
		}
		seen[key] = true
		for v := range uint64(2) {
			value := appendValue(nil, i, v)
			var user struct {
				ID, Email, DisplayName string
				Groups                 []string
			}
			if err := json.Unmarshal(value, &user); err != nil {
				t.Fatalf("value %d: %v: %s", i, err, value)
			}
			if len(value) != valueSize || user.ID != key || string(value[keyInValue:keyInValue+keySize]) != key || !uuid.MatchString(user.Groups[0]) {
				t.Fatalf("value %d of %d bytes: %s", i, len(value), value)
			}
			if seen[string(value)] {
				t.Fatalf("version %d of value %d is an earlier value", v, i)
			}
			seen[string(value)] = true
		}
	}
}
