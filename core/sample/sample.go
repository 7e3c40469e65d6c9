package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"

	"github.com/google/uuid"
)

// The topics of the model. As Redis databases they are 0, 1 and 2, in the order of [Topics].
const (
	Users         = "users"
	Organizations = "organizations"
	Sessions      = "sessions"
)

// Topics are the model's topics: users, organizations, sessions. The slice is the caller's.
func Topics() []string { return []string{Users, Organizations, Sessions} }

// ErrInvalid is wrapped by every error of Validate, with the field.
var ErrInvalid = errors.New("sample: invalid record")

// Record is one record of the model: a [User], an [Organization] or a [Session].
type Record interface {
	// Topic is where the record belongs, one of [Topics].
	Topic() string
	// Key is the record's key in the log: its bare id.
	Key() string
	// Validate checks what the type's JSON Schema asks for. Whether references exist is not its concern.
	Validate() error
}

// Organization is what users belong to.
type Organization struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"`
}

// User is a person.
type User struct {
	ID          uuid.UUID   `json:"id"`
	Email       *string     `json:"email"` // nil: none
	DisplayName string      `json:"displayName"`
	Groups      []uuid.UUID `json:"groups"` // ids of organizations, each once; not nil
}

// Session is a user's session on one device.
type Session struct {
	ID        uuid.UUID   `json:"id"`
	User      uuid.UUID   `json:"user"`
	Type      SessionType `json:"type"`
	IPAddress *string     `json:"ipAddress"` // IPv4 or IPv6 without a zone; nil: not known
}

// SessionType is the kind of device that a session runs on.
type SessionType string

// The types of sessions.
const (
	Regular       SessionType = "REGULAR"
	MeetingScreen SessionType = "MEETINGSCREEN"
)

// Topic is [Organizations].
func (Organization) Topic() string { return Organizations }

// Topic is [Users].
func (User) Topic() string { return Users }

// Topic is [Sessions].
func (Session) Topic() string { return Sessions }

// Key is the organization's id.
func (o Organization) Key() string { return o.ID.String() }

// Key is the user's id.
func (u User) Key() string { return u.ID.String() }

// Key is the session's id.
func (s Session) Key() string { return s.ID.String() }

var emailPattern = regexp.MustCompile(`^[^@\s]+@[^@\s]+$`)

// Validate checks the fields; its errors wrap [ErrInvalid].
func (o Organization) Validate() error {
	switch {
	case o.ID == uuid.Nil:
		return invalid(o, "id", "missing")
	case o.Name == "":
		return invalid(o, "name", "empty")
	}
	return nil
}

// Validate checks the fields; its errors wrap [ErrInvalid].
func (u User) Validate() error {
	switch {
	case u.ID == uuid.Nil:
		return invalid(u, "id", "missing")
	case u.Email != nil && !emailPattern.MatchString(*u.Email):
		return invalid(u, "email", "not an address")
	case u.DisplayName == "":
		return invalid(u, "displayName", "empty")
	case u.Groups == nil:
		return invalid(u, "groups", "missing")
	}
	seen := make(map[uuid.UUID]bool, len(u.Groups))
	for i, g := range u.Groups {
		if g == uuid.Nil || seen[g] {
			return invalid(u, fmt.Sprintf("groups[%d]", i), "missing or repeated id")
		}
		seen[g] = true
	}
	return nil
}

// Validate checks the fields; its errors wrap [ErrInvalid].
func (s Session) Validate() error {
	switch {
	case s.ID == uuid.Nil:
		return invalid(s, "id", "missing")
	case s.User == uuid.Nil:
		return invalid(s, "user", "missing")
	case s.Type != Regular && s.Type != MeetingScreen:
		return invalid(s, "type", fmt.Sprintf("%.32q is neither %s nor %s", string(s.Type), Regular, MeetingScreen))
	}
	if s.IPAddress != nil {
		if a, err := netip.ParseAddr(*s.IPAddress); err != nil || a.Zone() != "" {
			return invalid(s, "ipAddress", "neither IPv4 nor IPv6")
		}
	}
	return nil
}

func invalid(r Record, field, reason string) error {
	return fmt.Errorf("%w: %s %s: %s: %s", ErrInvalid, r.Topic(), r.Key(), field, reason)
}

// Encode is the record's value in the log: its JSON.
func Encode(r Record) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("sample: encode %s %s: %w", r.Topic(), r.Key(), err)
	}
	return b, nil
}
