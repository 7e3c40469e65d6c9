package cache

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/yolean/kafka-cache/core/policy"
)

// invalidKept is how many refusals of a topic are kept to be listed, and invalidKeyBytes how much of each key.
const (
	invalidKept     = 256
	invalidKeyBytes = 1024
)

// InvalidRecord is a record, or a write, that was refused.
type InvalidRecord struct {
	Topic     string
	Partition int32  // -1 of a write that was refused before it was produced
	Offset    int64  // -1 likewise
	Key       []byte // as clients see it; as it is in the log where it does not decode. At most its first 1024 bytes
	Rule      string // RuleWrite and so on
	Outcome   string // "delete", "keep", "skip", "stop"; "refused" of a write
	Reason    string // one line
	Path      string // a JSON Pointer into the value; "" where there is none, or where it is the whole
	Time      time.Time
}

// MarshalJSON writes the key as a string where it is text, and otherwise in base64 as "keyBase64".
func (r InvalidRecord) MarshalJSON() ([]byte, error) {
	out := struct {
		Topic     string    `json:"topic"`
		Partition int32     `json:"partition"`
		Offset    int64     `json:"offset"`
		Key       string    `json:"key"`
		KeyBase64 string    `json:"keyBase64,omitempty"`
		Rule      string    `json:"rule"`
		Outcome   string    `json:"outcome"`
		Reason    string    `json:"reason"`
		Path      string    `json:"path"`
		Time      time.Time `json:"time"`
	}{r.Topic, r.Partition, r.Offset, string(r.Key), "", r.Rule, r.Outcome, r.Reason, r.Path, r.Time}
	if !utf8.Valid(r.Key) {
		out.Key, out.KeyBase64 = "", base64.StdEncoding.EncodeToString(r.Key)
	}
	return json.Marshal(out)
}

// invalids are the newest refusals of a topic.
type invalids struct {
	mu   sync.Mutex
	ring []InvalidRecord
	next int
}

func (i *invalids) add(r InvalidRecord) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.ring) < invalidKept {
		i.ring = append(i.ring, r)
		return
	}
	i.ring[i.next] = r
	i.next = (i.next + 1) % invalidKept
}

// Invalid are the newest refusals, the newest first, at most limit and no more than the last 256; 0 is all of those. They are of this process: a restart
// forgets them, and lists again what it reads again.
func (t *Topic) Invalid(limit int) []InvalidRecord {
	i := &t.invalids
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.ring)
	if limit <= 0 || limit > n {
		limit = n
	}
	out := make([]InvalidRecord, 0, limit)
	for k := range limit {
		out = append(out, i.ring[((i.next-1-k)%n+n)%n])
	}
	return out
}

// InvalidError is the error of a write that a rule refuses: at once, where nothing was produced, or once its record was read here, where it is in the
// log and every instance judges it so.
type InvalidError struct {
	Rule   string // RuleWrite, or the rule that refused the record
	Path   string // a JSON Pointer into the value
	Reason string
	// Written is where the record is; nil where nothing was produced.
	Written *Written
}

func (e *InvalidError) Error() string {
	at := ""
	if e.Path != "" {
		at = " at " + e.Path
	}
	if e.Written != nil {
		return fmt.Sprintf("cache: the record is in the log, where the topic's %s rule refuses it%s: %s", e.Rule, at, e.Reason)
	}
	return fmt.Sprintf("cache: the value is not valid%s: %s", at, e.Reason)
}

// invalidWrite checks a value that is to be written.
func (t *Topic) invalidWrite(key, value []byte) error {
	err := invalidValue(t.meaning.write, key, value)
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		t.metrics.invalid.WithLabelValues(RuleWrite).Inc()
		t.invalids.add(InvalidRecord{Topic: t.name, Partition: -1, Offset: -1, Key: clip(key), Rule: RuleWrite, Outcome: "refused",
			Reason: invalid.Reason, Path: invalid.Path, Time: time.Now()})
	}
	return err
}

// invalidValue is why a rule refuses a value that is to be written, as an *InvalidError; nil where there is no rule.
func invalidValue(rule *policy.ValueRule, key, value []byte) error {
	if rule == nil {
		return nil
	}
	err := rule.Check(key, value)
	if err == nil {
		return nil
	}
	path, reason := policy.Explain(err)
	return &InvalidError{Rule: RuleWrite, Path: path, Reason: reason}
}

func clip(key []byte) []byte { return bytes.Clone(key[:min(len(key), invalidKeyBytes)]) }

// refused counts, lists and complains of records that were refused, and lets writes that wait for them know. It is called once their effect is in
// the store, or for one that stops the topic before anything is; and before the position says so.
func (t *Topic) refused(partition int32, all []refusal) {
	for i := range all {
		f := &all[i]
		path, reason := policy.Explain(f.err)
		key := f.key
		if key == nil {
			key = f.record.Key
		}
		t.metrics.invalid.WithLabelValues(f.rule).Inc()
		t.invalids.add(InvalidRecord{Topic: t.name, Partition: partition, Offset: f.record.Offset, Key: clip(key), Rule: f.rule, Outcome: f.outcome.String(),
			Reason: reason, Path: path, Time: time.Now()})
		t.complain(partition, f.record.Offset, "the "+f.rule+" rule refuses it: "+f.outcome.String(), f.err)
		if f.key != nil && f.outcome != policy.Keep && t.flights.any() {
			t.flights.note(f.key, flightNote{partition: partition, offset: f.record.Offset, refused: &InvalidError{Rule: f.rule, Path: path, Reason: reason}})
		}
	}
}
