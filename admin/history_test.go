package admin

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

func statusOf(applied uint64, partitions int) *Status {
	s := &Status{Status: cache.Status{Topics: []cache.TopicStatus{{Name: "users", Applied: applied}}}}
	for p := range partitions {
		s.Topics[0].Partitions = append(s.Topics[0].Partitions, cache.PartitionStatus{Partition: int32(p), End: 1, Lag: int64(p)})
	}
	return s
}

// The ring keeps fifteen minutes, the oldest first, and what is not known as null.
func TestHistoryIsARing(t *testing.T) {
	h := newHistory()
	begin := time.Unix(1_000_000, 0)
	const extra = 7
	for i := range samplesKept + extra {
		n := 2
		if i == samplesKept { // for one sample partition 1 is gone
			n = 1
		}
		h.add(begin.Add(time.Duration(i)*sampleInterval), statusOf(uint64(i*10), n), CommandTotals{})
	}
	k, _ := h.all()
	if len(k.Times) != samplesKept || k.Times[0] != begin.Add(extra*sampleInterval).UnixMilli() {
		t.Fatalf("%d times from %d", len(k.Times), k.Times[0])
	}
	for i := range k.Times[1:] {
		if k.Times[i+1]-k.Times[i] != sampleInterval.Milliseconds() {
			t.Fatalf("time %d is %d after %d", i+1, k.Times[i+1], k.Times[i])
		}
	}
	if got := k.Series["applied/users"]; len(got) != samplesKept || got[0] != 5 || got[samplesKept-1] != 5 {
		t.Errorf("10 records each 2 s are shown as %v a second", got[:3])
	}
	b, err := json.Marshal(k.Series["lag/users/1"])
	if err != nil || strings.Count(string(b), "null") != 1 || strings.Count(string(b), "1") != samplesKept-1 {
		t.Errorf("%v: lag of partition 1: %s", err, b)
	}
}

// However many partitions come and go, memory is bounded, and what does not fit is told.
func TestHistoryIsBounded(t *testing.T) {
	h := newHistory()
	begin := time.Unix(1_000_000, 0)
	h.add(begin, statusOf(0, 2000), CommandTotals{})
	if k, _ := h.all(); len(h.series) != maxSeries || k.NotKept != 4000+9-maxSeries {
		t.Errorf("%d series, %d not kept", len(h.series), k.NotKept)
	}
	for i := range 2 * samplesKept {
		h.add(begin.Add(time.Duration(i+1)*sampleInterval), statusOf(0, 1), CommandTotals{})
	}
	if len(h.series) != 9+2 {
		t.Errorf("%d series after those of the past have left", len(h.series))
	}
}

// However many ask, what is kept is written once a sample.
func TestHistoryIsWrittenOnce(t *testing.T) {
	h := newHistory()
	begin := time.Unix(1_000_000, 0)
	written := func() []byte {
		t.Helper()
		b, err := h.json()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	none := written()
	h.add(begin, statusOf(7, 1), CommandTotals{})
	one, again := written(), written()
	if &one[0] != &again[0] {
		t.Error("the same is written again")
	}
	var k struct {
		Times  []int64
		Series map[string][]*float64
	}
	if err := json.Unmarshal(one, &k); err != nil || len(k.Times) != 1 || len(k.Series["lag/users/0"]) != 1 || k.Series["applied/users"][0] != nil {
		t.Errorf("%v: %s; before: %s", err, one, none)
	}
	h.add(begin.Add(sampleInterval), statusOf(7, 1), CommandTotals{})
	if two := written(); len(two) <= len(one) {
		t.Errorf("after another sample: %s", two)
	}
}

func TestRates(t *testing.T) {
	bounds := []time.Duration{time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond}
	at := time.Unix(1000, 0)
	if r := ratesOf(totals{}, totals{at: at}); r != nil {
		t.Errorf("without a sample before: %+v", r)
	}
	before := totals{at, map[string]uint64{"users": 100}, CommandTotals{bounds, []uint64{10, 0, 0, 0}, 1}}
	now := totals{at.Add(2 * time.Second), map[string]uint64{"users": 140, "new": 6}, CommandTotals{bounds, []uint64{60, 40, 10, 0}, 3}}
	r := ratesOf(before, now)
	if r.CommandsPerSecond != 50 || r.FailedPerSecond != 1 || r.AppliedPerSecond["users"] != 20 || r.AppliedPerSecond["new"] != 3 || r.OverSeconds != 2 {
		t.Errorf("rates %+v", r)
	}
	// Of 100: 50 below 1 ms, 40 to 2 ms, 10 to 4 ms.
	if r.LatencyP50Seconds != 0.001 || math.Abs(r.LatencyP99Seconds-0.0038) > 1e-9 {
		t.Errorf("median %v, p99 %v", r.LatencyP50Seconds, r.LatencyP99Seconds)
	}
	if r := ratesOf(now, totals{at.Add(4 * time.Second), now.applied, now.commands}); r.LatencyP99Seconds != -1 || r.CommandsPerSecond != 0 {
		t.Errorf("with nothing since: %+v", r)
	}
	if r := ratesOf(now, before); r != nil {
		t.Errorf("backwards: %+v", r)
	}
}
