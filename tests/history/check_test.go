package history

import (
	"os"
	"strings"
	"testing"
	"time"
)

// story is a history of one client an event, made by hand. Times are in milliseconds.
type story struct {
	log     Log
	events  [][]Event
	deposed []span
}

func newStory(records ...string) *story {
	k := &KeyLog{Partition: 1}
	for i, v := range records {
		k.Records = append(k.Records, Record{Offset: int64(10 * (i + 1)), Value: v, Tombstone: v == ""})
	}
	s := &story{log: Log{}}
	if len(records) > 0 {
		s.log["k"] = k
	}
	return s
}

// add adds an event of the instance, called and returned at these times.
func (s *story) add(instance, call, ret int, e Event) *story {
	e.Client, e.Instance = len(s.events), instance
	e.Call, e.Return = time.Duration(call)*time.Millisecond, time.Duration(ret)*time.Millisecond
	e.After = none
	s.events = append(s.events, []Event{e})
	return s
}

// then adds an event to the last client's, in the same pipeline as the one before, whose promise it must show.
func (s *story) then(ret int, e Event) *story {
	of := &s.events[len(s.events)-1]
	before := (*of)[len(*of)-1]
	e.Client, e.Seq, e.Instance, e.Call, e.Return = before.Client, len(*of), before.Instance, before.Call, time.Duration(ret)*time.Millisecond
	e.After = before.Seq
	*of = append(*of, e)
	return s
}

func set(value string, o Outcome) Event {
	return Event{Kind: Write, Key: "k", Value: value, Outcome: o, Applied: o == OK, Offset: none, Removed: none}
}

// acknowledged is a set that is not applied when it is answered.
func acknowledged(value string) Event {
	e := set(value, OK)
	e.Applied = false
	return e
}

func del(removed int, o Outcome) Event {
	return Event{Kind: Write, Key: "k", Deleted: true, Outcome: o, Applied: o == OK, Offset: none, Removed: removed}
}

func delAt(offset int64) Event {
	e := del(none, OK)
	e.Offset, e.Partition = offset, 1
	return e
}

func delHint(next int64) Event {
	e := del(1, OK)
	e.Covers = []Next{{Partition: 1, Offset: next}}
	return e
}

func get(value string) Event {
	return Event{Kind: Read, Key: "k", Value: value, Deleted: value == "", Offset: none, Removed: none}
}

func meta(offset int64) Event {
	return Event{Kind: Read, Key: "k", Partition: 1, Offset: offset, Removed: none}
}

func reached(next int64) Event {
	return Event{Kind: Reach, Covers: []Next{{Partition: 1, Offset: next}}, Removed: none}
}

// counted is a WAIT about the client's event before it.
func counted(n int) Event {
	return Event{Kind: Reach, Counted: n, Writes: []int{0}, Removed: none}
}

func synced(next int64) Event {
	e := reached(next)
	e.Sync = true
	return e
}

// getFresh is a read that may be so many milliseconds old.
func getFresh(value string, ms int) Event {
	e := get(value)
	e.Fresh = time.Duration(ms) * time.Millisecond
	return e
}

func outcome(e Event, o Outcome) Event {
	e.Outcome = o
	return e
}

const a, b, c = 0, 1, 2

func TestCheck(t *testing.T) {
	for _, one := range []struct {
		name  string
		story *story
		found string // in the violation; empty: none
	}{
		{"nothing happened", newStory().add(a, 0, 1, get("")), ""},
		{"written and read", newStory("x").add(a, 0, 2, set("x", OK)).add(a, 3, 4, get("x")), ""},
		{"the other instance may be behind", newStory("x").add(a, 0, 2, set("x", OK)).add(b, 3, 4, get("")).add(b, 5, 6, get("x")), ""},
		{"read while it is written", newStory("x").add(a, 0, 9, set("x", OK)).add(b, 3, 4, get("x")), ""},
		{"acknowledged and not applied", newStory("x").add(a, 0, 2, acknowledged("x")).add(a, 3, 4, get("")), ""},
		{"pending", newStory("x").add(a, 0, 2, set("x", Pending)).add(a, 3, 4, get("")), ""},
		{"unknown and not there", newStory().add(a, 0, 2, set("x", Unknown)).add(a, 3, 4, get("")), ""},
		{"unknown and there later", newStory("y", "x").add(a, 0, 2, set("x", Unknown)).add(a, 3, 4, set("y", OK)).add(a, 5, 6, get("y")), ""},
		{"refused", newStory().add(a, 0, 2, set("x", Refused)).add(a, 3, 4, get("")), ""},
		{"deleted, written again", newStory("x", "", "y").add(a, 0, 1, set("x", OK)).add(a, 2, 3, del(1, OK)).add(a, 4, 5, set("y", OK)).add(a, 6, 7, get("y")), ""},
		{"deletes whose offsets are not known", newStory("", "x", "", "").add(a, 0, 20, del(1, OK)).add(a, 0, 20, del(0, OK)).add(b, 0, 20, del(0, OK)).add(a, 5, 6, set("x", OK)), ""},
		{"a delete of unknown outcome for nothing", newStory("x").add(a, 0, 1, del(none, Unknown)).add(a, 2, 3, set("x", OK)).add(a, 4, 5, get("x")), ""},
		{"a delete of unknown outcome, seen late", newStory("x", "").add(a, 0, 1, del(none, Unknown)).add(a, 2, 3, set("x", OK)).add(a, 4, 5, get("x")).add(a, 6, 7, get("")), ""},
		{"a hint that two deletes have", newStory("x", "", "y", "").add(a, 0, 1, set("x", OK)).add(a, 2, 3, delHint(21)).add(a, 4, 5, set("y", OK)).add(a, 6, 7, delHint(21)), ""},
		{"META", newStory("x").add(a, 0, 1, set("x", OK)).add(a, 2, 3, meta(10)), ""},
		{"a token that does not name the key's partition", newStory("x").add(a, 0, 1, set("x", OK)).add(b, 2, 3, Event{Kind: Reach, Covers: []Next{{Partition: 2, Offset: 99}}}).add(b, 4, 5, get("")), ""},
		{"a wait that timed out", newStory("x").add(a, 0, 1, set("x", OK)).add(b, 2, 3, Event{Kind: Reach}).then(4, get("")), ""},
		{"a wait that failed", newStory("x").add(a, 0, 1, set("x", OK)).add(b, 2, 3, outcome(reached(11), Refused)).then(4, get("")), ""},
		{"a WAIT that counts all", newStory("x").add(a, 0, 1, set("x", OK)).then(3, counted(3)).add(b, 4, 5, get("x")).add(c, 4, 5, get("x")), ""},
		{"a WAIT that counts two", newStory("x").add(a, 0, 1, set("x", OK)).then(3, counted(2)).add(b, 4, 5, get("")).add(c, 4, 5, get("x")), ""},
		{"a WAIT that counts two, and the third", newStory("x").add(a, 0, 1, acknowledged("x")).then(3, counted(2)).add(c, 4, 5, get("")).add(b, 6, 7, get("x")), ""},
		{"a read while a WAIT is answered", newStory("x").add(a, 0, 1, set("x", OK)).then(5, counted(3)).add(b, 4, 6, get("")), ""},
		{"deleted after a WAIT", newStory("x", "").add(a, 0, 1, set("x", OK)).then(3, counted(3)).add(a, 5, 9, delAt(20)).add(b, 6, 7, get("")), ""},
		{"KAFKA.SYNC", newStory("x", "y").add(a, 0, 1, set("x", OK)).add(a, 2, 9, set("y", OK)).add(b, 3, 4, synced(11)).then(5, get("x")), ""},
		{"KAFKA.FRESH", newStory("x").add(a, 0, 2, set("x", OK)).add(b, 9, 10, getFresh("", 7)).add(b, 11, 12, getFresh("x", 7)), ""},
		{"KAFKA.FRESH before there was anything", newStory("x").add(b, 0, 1, getFresh("", 7)).add(a, 1, 2, set("x", OK)), ""},
		{"KAFKA.SYNC and KAFKA.FRESH of a leader that does not know that it is none", func() *story {
			s := newStory("x", "y").add(a, 0, 1, set("x", OK)).add(a, 2, 3, set("y", OK)).add(b, 5, 6, synced(11)).add(b, 12, 14, getFresh("x", 5))
			s.deposed = []span{{1 * time.Millisecond, 13 * time.Millisecond}}
			return s
		}(), ""},
		{"a read that was refused", newStory("x").add(a, 0, 1, set("x", OK)).add(a, 2, 3, outcome(get(""), Refused)), ""},

		{"an acknowledged write is lost", newStory().add(a, 0, 1, set("x", OK)), "acknowledged, and is not in the log"},
		{"a pending write is lost", newStory().add(a, 0, 1, set("x", Pending)), "acknowledged, and is not in the log"},
		{"a pending delete is lost", newStory("x").add(a, 0, 1, set("x", OK)).add(a, 2, 3, del(none, Pending)), "no order"},
		{"a refused write is there", newStory("x").add(a, 0, 1, set("x", Refused)), "refused as not written"},
		{"a write is there twice", newStory("x", "x").add(a, 0, 1, set("x", OK)), "2 times"},
		{"the offset is another", newStory("x").add(a, 0, 1, func() Event { e := set("x", OK); e.Offset, e.Partition = 20, 1; return e }()), "does not have it at offset 20"},
		{"a delete is not where it should be", newStory("x", "").add(a, 0, 1, set("x", OK)).add(a, 2, 3, delAt(10)), "no tombstone of it at offset 10"},
		{"nobody wrote it", newStory("x").add(a, 0, 1, set("x", OK)).add(a, 2, 3, get("z")), "nobody wrote"},
		{"nobody wrote what the log has", newStory("x", "z").add(a, 0, 1, set("x", OK)), "the whole history"},
		{"nobody deleted it", newStory("x", "").add(a, 0, 1, set("x", OK)).add(a, 2, 3, get("")), "no order"},
		{"META of another offset", newStory("x").add(a, 0, 1, set("x", OK)).add(a, 2, 3, meta(11)), "no record of it"},
		{"META of a tombstone", newStory("x", "").add(a, 0, 1, set("x", OK)).add(a, 2, 3, delAt(20)).add(a, 4, 5, meta(20)), "has a tombstone"},
		{"not read after OK", newStory("x").add(a, 0, 1, set("x", OK)).add(a, 2, 3, get("")), "GET"},
		{"not read in the pipeline of an OK", newStory("x").add(a, 0, 1, set("x", OK)).then(2, get("")), "promised"},
		{"read before it was written", newStory("x").add(b, 0, 1, get("x")).add(a, 2, 3, set("x", OK)), "GET"},
		{"an older value", newStory("x", "y").add(a, 0, 1, set("x", OK)).add(a, 2, 3, set("y", OK)).add(b, 4, 5, get("y")).add(b, 6, 7, get("x")), "x"},
		{"a deleted key is back", newStory("x", "").add(a, 0, 1, set("x", OK)).add(a, 2, 3, delAt(20)).add(a, 4, 5, get("x")), "x"},
		{"missing on another instance, after it was there", newStory("x").add(a, 0, 1, set("x", OK)).add(b, 4, 5, get("x")).add(b, 6, 7, get("")), "no value"},
		{"behind a token", newStory("x").add(a, 0, 1, set("x", OK)).add(b, 2, 3, reached(11)).add(b, 4, 5, get("")), "no value"},
		{"behind a token in a pipeline", newStory("x").add(a, 0, 1, set("x", OK)).add(b, 2, 3, reached(11)).then(4, get("")), "promised"},
		{"WAIT in vain", newStory("x").add(a, 0, 1, acknowledged("x")).then(4, Event{Kind: Reach, Writes: []int{0}}).add(a, 5, 6, get("")), "no value"},
		{"a WAIT counts all, and a peer has it not", newStory("x").add(a, 0, 1, set("x", OK)).then(3, counted(3)).add(b, 4, 5, get("")), "was shown by B"},
		{"a WAIT counts all, and a peer goes back", newStory("x", "y").add(a, 0, 1, set("x", OK)).then(3, counted(3)).add(a, 4, 5, set("y", OK)).add(c, 6, 7, get("y")).add(c, 8, 9, get("x")), "shows version 1"},
		{"a WAIT counts two, and none of the others has it", newStory("x").add(a, 0, 1, set("x", OK)).then(3, counted(2)).add(b, 4, 5, get("")).add(c, 4, 5, get("")), "was shown by B and C"},
		{"a WAIT counts two, of an older value", newStory("x", "", "y").add(a, 0, 1, set("x", OK)).add(a, 2, 3, delAt(20)).add(a, 4, 5, set("y", OK)).then(7, counted(2)).add(b, 8, 9, get("")).add(c, 8, 9, get("x")), "was shown by B and C"},
		{"a WAIT counts two, and its own has it not", newStory("x").add(a, 0, 1, acknowledged("x")).then(3, counted(2)).add(a, 4, 5, get("")), "no value"},
		{"a WAIT counts more than there are", newStory("x").add(a, 0, 1, set("x", OK)).then(3, counted(4)), "there are 3"},
		{"KAFKA.SYNC passes over a write", newStory("x", "y").add(a, 0, 1, set("x", OK)).add(a, 1, 2, set("y", Pending)).add(b, 3, 4, synced(11)), "knows partition 1 up to 11"},
		{"KAFKA.SYNC in vain", newStory("x").add(a, 0, 1, set("x", OK)).add(b, 3, 4, synced(11)).then(5, get("")), "no value"},
		{"KAFKA.FRESH shows what is older", newStory("x").add(a, 0, 2, set("x", OK)).add(b, 10, 11, getFresh("", 7)), "promised"},
		{"the log has another order than the clients", newStory("y", "x").add(a, 0, 1, set("x", OK)).add(a, 2, 3, set("y", OK)), "SET"},
		{"a delete counts wrongly", newStory("x", "").add(a, 0, 1, set("x", OK)).add(a, 2, 3, del(0, OK)), "counting 0"},
		{"a delete counts what was not there", newStory("").add(a, 2, 3, del(1, OK)), "counting 1"},
		{"a write of another key in the partition was applied", func() *story {
			s := newStory("x")
			s.log["other"] = &KeyLog{Partition: 1, Records: []Record{{Offset: 15, Value: "o"}}}
			e := set("o", OK)
			e.Key = "other"
			return s.add(b, 0, 1, set("x", Pending)).add(a, 2, 3, e).add(a, 4, 5, get(""))
		}(), "no value"},
	} {
		t.Run(one.name, func(t *testing.T) {
			for i := range one.story.events {
				for j := range one.story.events[i] {
					e := &one.story.events[i][j]
					e.Command = [...]string{"GET k", "SET k " + e.Value, "KAFKA.WAIT"}[e.Kind]
				}
			}
			dir := t.TempDir()
			v, err := check(one.story.events, one.story.log, one.story.deposed, dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			if one.found == "" {
				if len(v.Violations) > 0 || len(v.Undecided) > 0 {
					t.Fatalf("found %+v", v)
				}
				return
			}
			if len(v.Violations) != 1 {
				t.Fatalf("found %+v, want one violation", v)
			}
			if !strings.Contains(v.Violations[0].What, one.found) {
				t.Errorf("the violation is described without %q:\n%s", one.found, v.Violations[0].What)
			}
			if page, err := os.ReadFile(v.Violations[0].File); err != nil || !strings.Contains(string(page), "<svg") {
				t.Errorf("the visualisation is %.100q, %v", page, err)
			}
		})
	}
}
