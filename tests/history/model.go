package history

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"
)

// most is how many instances a state can hold: A, B, and the one that starts from nothing in the end.
const most = instances + 1

// state is what is known of a key: how many of its versions have been written, and for each instance the newest version that
// it is known to have. Version 0 is the key that was never written.
type state struct {
	written int
	has     [most]int
}

type opKind uint8

const (
	opAppend     opKind = iota // the write of a version
	opAppendSome               // an acknowledged delete of which no offset is known: a tombstone that no other write claims
	opAppendMay                // the same of a delete whose outcome is not known: perhaps none
	opRead                     // an instance showed a version
	opReadNone                 // an instance showed no value
	opReach                    // an instance has a version
	opEnd                      // everything in the log has been written by somebody
	opNever                    // what cannot be, whatever the order: reason says why
)

// op is an operation as the model sees it.
type op struct {
	kind     opKind
	instance int
	version  int
	floor    int // of a read: what the command before it in its pipeline promised
	removed  int // of a delete: what it counted, or none
	reason   string
	event    *Event // nil of opEnd
}

// keyModel is the model of one key, whose versions are those of the log.
type keyModel struct {
	records []Record // version i is records[i-1]
	claimed []bool   // by a write that says so itself
	// prefix says that not all operations of the history are there, so that a delete may have been for nothing at any time.
	prefix bool
}

// tombstone reports whether a version is one; the key that was never written has no value either.
func (m *keyModel) tombstone(version int) bool { return version == 0 || m.records[version-1].Tombstone }

// append makes version the newest one.
func (m *keyModel) append(s state, version int, o *op) (bool, state) {
	if s.written != version-1 {
		return false, s
	}
	if o.removed != none && (o.removed == 1) == m.tombstone(version-1) {
		return false, s
	}
	s.written = version
	return true, s
}

// unclaimed reports whether the next version is a tombstone that no write says to have made.
func (m *keyModel) unclaimed(s state) bool {
	return s.written < len(m.records) && m.records[s.written].Tombstone && !m.claimed[s.written]
}

// step is porcupine's: whether o can happen in s, and what is then.
func (m *keyModel) step(s state, o *op) (bool, state) {
	switch o.kind {
	case opAppend:
		return m.append(s, o.version, o)
	case opAppendSome:
		if !m.unclaimed(s) {
			return false, s
		}
		return m.append(s, s.written+1, o)
	case opAppendMay:
		if m.unclaimed(s) {
			return m.append(s, s.written+1, o)
		}
		// For nothing: it can be the last thing that happens, so no other moment is tried.
		return m.prefix || s.written == len(m.records), s
	case opRead:
		if o.version < max(s.has[o.instance], o.floor) || o.version > s.written {
			return false, s
		}
		s.has[o.instance] = o.version
		return true, s
	case opReadNone:
		// The oldest version that it may be leaves the most open for what comes after.
		for v := max(s.has[o.instance], o.floor); v <= s.written; v++ {
			if m.tombstone(v) {
				s.has[o.instance] = v
				return true, s
			}
		}
		return false, s
	case opReach:
		if o.version > s.written {
			return false, s
		}
		s.has[o.instance] = max(s.has[o.instance], o.version)
		return true, s
	case opEnd:
		return s.written == len(m.records), s
	default:
		return false, s
	}
}

// model is what porcupine takes.
func (m *keyModel) model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(s, input, _ any) (bool, any) { return m.step(s.(state), input.(*op)) },
		Hash: func(s any) uint64 {
			st := s.(state)
			h := uint64(st.written)
			for _, v := range st.has {
				h = h*1_000_003 + uint64(v)
			}
			return h * 0x9E3779B97F4A7C15
		},
		DescribeOperation: func(input, _ any) string { return m.describe(input.(*op)) },
		DescribeState: func(s any) string {
			st := s.(state)
			var sb strings.Builder
			fmt.Fprintf(&sb, "written: %s", m.version(st.written))
			for i, v := range st.has {
				fmt.Fprintf(&sb, "<br>%s has: %s", instanceName(i), m.version(v))
			}
			return sb.String()
		},
	}
}

// version is a version for people.
func (m *keyModel) version(v int) string {
	if v == 0 {
		return "nothing"
	}
	r := m.records[v-1]
	what := "a tombstone"
	if !r.Tombstone {
		what = r.Value
	}
	return fmt.Sprintf("version %d (%s, offset %d)", v, what, r.Offset)
}

func (m *keyModel) describe(o *op) string {
	var what string
	switch o.kind {
	case opAppend:
		what = "writes " + m.version(o.version)
	case opAppendSome:
		what = "writes a tombstone of unknown offset"
	case opAppendMay:
		what = "perhaps writes a tombstone"
	case opRead:
		what = "shows " + m.version(o.version)
	case opReadNone:
		what = "shows no value"
	case opReach:
		what = "has " + m.version(o.version)
	case opEnd:
		return "everything in the log was written"
	case opNever:
		what = "cannot be: " + o.reason
	}
	if o.floor > 0 {
		what += ", after having been promised " + m.version(o.floor)
	}
	if o.removed != none && (o.kind == opAppend || o.kind == opAppendSome) {
		what += fmt.Sprintf(", counting %d removed", o.removed)
	}
	return fmt.Sprintf("%s → %s: %s %s", o.event.Command, o.event.Reply, instanceName(o.instance), what)
}
