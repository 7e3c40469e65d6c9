package history

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what a command did.
type Kind uint8

// The kinds of events. All that is told of a position (WAIT, KAFKA.WAIT, KAFKA.SYNC, KAFKA.POSITION) is a Reach.
const (
	Read  Kind = iota // a key's value on an instance
	Write             // a value for a key, or its tombstone
	Reach             // the instance has reached a position
)

// Outcome is what a client knows of a command.
type Outcome uint8

// The outcomes, of writes in the first place.
const (
	OK      Outcome = iota // answered as it should be
	Pending                // a write: in the log, and not yet applied by the instance
	Refused                // surely not done: an error that says so, or there was no connection
	Unknown                // perhaps done: no answer, or one that says that it is not known
)

var outcomeNames = [...]string{"ok", "pending", "refused", "unknown"}

// String is the outcome's name.
func (o Outcome) String() string { return outcomeNames[o] }

// none stands for an offset or a count that is not known.
const none = -1

// Next is the next offset to read of a partition, as a position has it.
type Next struct {
	Partition int32
	Offset    int64
}

// Event is a command and what became of it. Times are monotonic, since the run began.
type Event struct {
	Client, Seq  int // Seq counts a client's events
	Instance     int
	Kind         Kind
	Command      string // as the client sent it, for people
	Reply        string // shortened, for people
	Outcome      Outcome
	Call, Return time.Duration

	Key     string
	Value   string // written, or read
	Deleted bool   // a write: a tombstone; a read: there was no value

	// Offset and Partition of the record that a write made, or that KAFKA.META told of; Offset is none where no reply told.
	Offset    int64
	Partition int32
	// Removed is what a DEL counted, or none.
	Removed int
	// Applied is true of a write whose answer says that the instance has applied it.
	Applied bool
	// Covers is the position that a Reach is about, and Writes are the client's events whose records it covers as well. Of a
	// write it is the token that followed it, which hints at its offset.
	Covers []Next
	Writes []int
	// Counted is how many instances a WAIT says have the Writes, its own first.
	Counted int
	// Sync is true of a KAFKA.SYNC: Covers is then where the log ended at some time after Call.
	Sync bool
	// Fresh is the age that KAFKA.FRESH allowed a read; 0: any.
	Fresh time.Duration
	// After is the client's event before this read in its pipeline whose promise it must show, or none.
	After int
}

// on are the instances that have reached what the event is about.
func (e *Event) on() (all []int) {
	if e.Counted < instances {
		return []int{e.Instance}
	}
	for i := range instances {
		all = append(all, i)
	}
	return all
}

// String is the event as a report shows it.
func (e *Event) String() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%v…%v client %d on %s: %s", e.Call.Round(time.Microsecond), e.Return.Round(time.Microsecond), e.Client, instanceName(e.Instance), e.Command)
	if e.Reply != "" {
		fmt.Fprintf(&sb, " → %s", e.Reply)
	}
	if e.Outcome != OK {
		fmt.Fprintf(&sb, " (%v)", e.Outcome)
	}
	return sb.String()
}

// instanceName is A, B and C, and D for the one that started from nothing in the end.
func instanceName(i int) string { return string(rune('A' + i)) }
