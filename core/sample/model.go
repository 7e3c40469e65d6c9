package sample

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/google/uuid"
)

// Model is a deterministic set of records: the same fields yield the same records, on any machine. Records are numbered
// from 0, and each is made from the seed and its number alone, so that none has to be kept to refer to it. It is a value,
// and safe for concurrent use.
type Model struct {
	Seed          uint64
	Organizations int
	Users         int
	Sessions      int
}

// maxGroups is how many organizations a user belongs to at most.
const maxGroups = 3

// Validate refuses a model whose references could not be met.
func (m Model) Validate() error {
	switch {
	case m.Organizations < 0 || m.Users < 0 || m.Sessions < 0:
		return errors.New("sample: counts of organizations, users and sessions must not be negative")
	case m.Users > 0 && m.Organizations == 0:
		return errors.New("sample: users need at least one organization")
	case m.Sessions > 0 && m.Users == 0:
		return errors.New("sample: sessions need at least one user")
	}
	return nil
}

// All are the model's organizations, users and sessions, in an order in which references are met as they are written.
func (m Model) All() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for i := range m.Organizations {
			if !yield(m.Organization(i)) {
				return
			}
		}
		for i := range m.Users {
			if !yield(m.User(i)) {
				return
			}
		}
		for i := range m.Sessions {
			if !yield(m.Session(i)) {
				return
			}
		}
	}
}

// OrganizationID is the id of the organization with that number.
func (m Model) OrganizationID(i int) uuid.UUID { return newID(m.source(Organizations, i, 0)) }

// UserID is the id of the user with that number.
func (m Model) UserID(i int) uuid.UUID { return newID(m.source(Users, i, 0)) }

// SessionID is the id of the session with that number.
func (m Model) SessionID(i int) uuid.UUID { return newID(m.source(Sessions, i, 0)) }

// Organization is the organization with that number.
func (m Model) Organization(i int) Organization {
	src := m.source(Organizations, i, 0)
	id, r := newID(src), rand.New(src)
	return Organization{ID: id, Name: pick(r, places) + " " + pick(r, trades)}
}

// User is the user with that number, a member of some of the model's organizations, of which it needs at least one.
func (m Model) User(i int) User {
	src := m.source(Users, i, 0)
	id, r := newID(src), rand.New(src)
	u := User{ID: id, Groups: make([]uuid.UUID, 0, maxGroups)}
	first, last := pick(r, firstNames), pick(r, lastNames)
	u.DisplayName = first + " " + last
	if r.IntN(10) > 0 { // one in ten has none
		email := fmt.Sprintf("%s.%s.%d@example.org", strings.ToLower(first), strings.ToLower(last), i)
		u.Email = &email
	}
	members := make(map[int]bool, maxGroups)
	for range 1 + r.IntN(min(maxGroups, m.Organizations)) {
		o := r.IntN(m.Organizations)
		if !members[o] {
			members[o] = true
			u.Groups = append(u.Groups, m.OrganizationID(o))
		}
	}
	return u
}

// RenamedUser is [Model.User] with the display name of a later revision; revision 0 is the user as it was generated.
func (m Model) RenamedUser(i, revision int) User {
	u := m.User(i)
	if revision != 0 {
		r := rand.New(m.source(Users, i, revision))
		u.DisplayName = fmt.Sprintf("%s %s (%d)", pick(r, firstNames), pick(r, lastNames), revision)
	}
	return u
}

// Session is the session with that number, of one of the model's users, of which it needs at least one. Numbers from
// m.Sessions on are sessions that [Model.All] does not have.
func (m Model) Session(i int) Session {
	src := m.source(Sessions, i, 0)
	id, r := newID(src), rand.New(src)
	s := Session{ID: id, User: m.UserID(r.IntN(m.Users)), Type: Regular}
	if r.IntN(8) == 0 {
		s.Type = MeetingScreen
	}
	switch r.IntN(10) {
	case 0: // not known
	case 1, 2, 3: // the documentation ranges of RFC 3849 and RFC 5737
		b := [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: byte(1 + r.IntN(254))}
		b[4], b[5] = byte(r.IntN(256)), byte(r.IntN(256))
		ip := netip.AddrFrom16(b).String()
		s.IPAddress = &ip
	default:
		ip := netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + r.IntN(254))}).String()
		s.IPAddress = &ip
	}
	return s
}

// source is the random source of one record. ChaCha8 is specified (C2SP), so records do not change with Go's version.
func (m Model) source(topic string, i, revision int) *rand.ChaCha8 {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[0:], m.Seed)
	binary.LittleEndian.PutUint64(seed[8:], uint64(i))
	binary.LittleEndian.PutUint64(seed[16:], uint64(revision))
	copy(seed[24:], topic)
	return rand.NewChaCha8(seed)
}

// newID must be what a source is asked for first: an id does not depend on the rest of its record.
func newID(src *rand.ChaCha8) uuid.UUID {
	id, err := uuid.NewRandomFromReader(src)
	if err != nil {
		panic("sample: ChaCha8 does not fail: " + err.Error())
	}
	return id
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }
