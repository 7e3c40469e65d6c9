package policy

import (
	"errors"
	"fmt"
)

// ValueRule says which values are valid.
type ValueRule struct {
	// Name identifies it, by its text or a name with a version, as [Resolver.Name] does.
	Name string
	// Check is nil for a valid value, and otherwise the reason, a [*Refusal] where there is a path to tell.
	Check func(key, value []byte) error
}

// MutationRule says which changes of a key's value are valid.
type MutationRule struct {
	// Name identifies it, by its text or a name with a version, as [Resolver.Name] does.
	Name string
	// Check is nil for a valid change, and otherwise the reason. An error of the rule itself, on a value that it is not made
	// for, is a reason too.
	Check func(m *Mutation) error
}

// Mutation is one change of one key's value to another. Deletions are not asked about.
type Mutation struct {
	Key []byte
	// Self is the value that the key would get.
	Self []byte
	// OldSelf is the value that it has here; Exists says that it has one.
	OldSelf []byte
	Exists  bool
	// Record is what leads to it.
	Record *Record
}

// Outcome says what becomes of a record that a rule refuses, or that does not decode or resolve.
type Outcome uint8

const (
	// Default is Delete for what is wrong with a record and Skip for a refused mutation.
	Default Outcome = iota
	// Delete makes the key read as missing: its former value is no longer what the log says. A function of the log.
	Delete
	// Keep serves the value nevertheless, and counts it; what does not decode has none and is deleted. A function of the log.
	Keep
	// Skip leaves the key's former value. What an instance serves then depends on what it has seen: instances of another age
	// may differ, since the former record may be compacted away before they read it.
	Skip
	// Stop stops the topic in front of the record: what there is goes on being served, its lag grows.
	Stop
)

var outcomes = [...]string{Default: "", Delete: "delete", Keep: "keep", Skip: "skip", Stop: "stop"}

// String is the outcome's name, as [ParseOutcome] takes it.
func (o Outcome) String() string {
	if int(o) < len(outcomes) {
		return outcomes[o]
	}
	return fmt.Sprintf("Outcome(%d)", o)
}

// ParseOutcome finds an outcome by its name; the empty one is Default.
func ParseOutcome(name string) (Outcome, error) {
	for o, n := range outcomes {
		if n == name {
			return Outcome(o), nil
		}
	}
	return Default, fmt.Errorf("%.40q is none of delete, keep, skip, stop", name)
}

// Or is o, or other where o is Default.
func (o Outcome) Or(other Outcome) Outcome {
	if o == Default {
		return other
	}
	return o
}

// Refusal is the reason for which a value, a change or a record is refused.
type Refusal struct {
	// Path is where in the value the fault is, as a JSON Pointer (RFC 6901); "" is the whole of it.
	Path string
	// Reason is one line of bounded length, whatever the value was.
	Reason string
}

func (r *Refusal) Error() string {
	if r.Path == "" {
		return r.Reason
	}
	return "at " + r.Path + ": " + r.Reason
}

// Explain is a reason's path and text: a [*Refusal]'s, or an error's on one line.
func Explain(err error) (path, reason string) {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Path, Line(r.Reason)
	}
	return "", Line(err.Error())
}

// lineBytes is the length of a reason, at most.
const lineBytes = 512

// Line is s on one line of bounded length, cut between two characters.
func Line(s string) string {
	if len(s) > lineBytes {
		n := lineBytes
		for n > 0 && s[n]&0xc0 == 0x80 {
			n--
		}
		s = s[:n] + "…"
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}
