package loadgen

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/yolean/kafka-cache/core/sample"
)

// revised is the value of a later revision of a record, from 1 on: a user or an organization with another name, a session from
// another address. References stay as they are.
func revised(m sample.Model, topic string, i, revision int) ([]byte, error) {
	var r sample.Record
	switch topic {
	case sample.Users:
		r = m.RenamedUser(i, revision)
	case sample.Organizations:
		o := m.Organization(i)
		o.Name = fmt.Sprintf("%s (%d)", o.Name, revision)
		r = o
	default:
		s := m.Session(i)
		a := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 12: byte(revision >> 24), 13: byte(revision >> 16), 14: byte(revision >> 8), 15: byte(revision)}).String()
		s.IPAddress = &a
		r = s
	}
	return json.Marshal(r) // the model's own records need no Validate
}

// belongs tells whether a value is of the record with that key: a JSON object whose id is the key. The model's values begin
// with it; those that do not are parsed.
func belongs(key, value string) bool {
	const before = `{"id":"`
	n := len(before) + len(key)
	if len(value) > n+1 && value[:len(before)] == before && value[len(before):n] == key && value[n] == '"' && value[len(value)-1] == '}' {
		return true
	}
	var v struct{ ID string }
	return json.Unmarshal([]byte(value), &v) == nil && v.ID == key
}
