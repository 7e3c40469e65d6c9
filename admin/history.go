package admin

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	sampleInterval = 2 * time.Second
	samplesKept    = int(15 * time.Minute / sampleInterval)
	// maxSeries bounds the history to 3.6 MB: 1,024 series of 450 numbers. Each topic has three beside those of its partitions; partitions that come when
	// no more series are left have none, and the page says so.
	maxSeries = 1024
)

// CommandTotals count commands since the start, by how long they took.
type CommandTotals struct {
	Bounds []time.Duration // the buckets' upper bounds, ascending
	Counts []uint64        // the commands in each bucket by itself, and in one more those above the last bound
	Failed uint64          // were answered with an error
}

// history keeps the samples of the last fifteen minutes. It is safe for concurrent use.
type history struct {
	mu     sync.Mutex
	times  []int64 // milliseconds since 1970; a ring, as the series are
	next   int     // where the next sample goes
	series map[string][]float64
	left   int // series that did not fit, of the newest sample

	last   totals
	newest *Rates

	samples   uint64     // so far
	encoding  sync.Mutex // above mu; guards what follows
	encoded   []byte     // what /api/v1/history answers, of the sample encodedAt; never changed, so that peers share it
	encodedAt uint64
}

// totals are what rates are made from.
type totals struct {
	at       time.Time
	applied  map[string]uint64
	commands CommandTotals
}

// sampled is a number of a sample; NaN is one that is not known, and null in JSON.
type sampled float64

// MarshalJSON writes null for what is not known.
func (n sampled) MarshalJSON() ([]byte, error) { return n.append(nil), nil }

// append writes six digits behind the point: microseconds, of seconds.
func (n sampled) append(b []byte) []byte {
	v := float64(n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, math.Round(v*1e6)/1e6, 'f', -1, 64)
}

func newHistory() *history { return &history{series: map[string][]float64{}} }

// rates are the newest interval's.
func (h *history) rates() *Rates {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest
}

// add notes a sample and says what was noted, with the rates since the one before.
func (h *history) add(now time.Time, status *Status, commands CommandTotals) map[string]sampled {
	applied := make(map[string]uint64, len(status.Topics))
	for _, t := range status.Topics {
		applied[t.Name] = t.Applied
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	current := totals{now, applied, commands}
	h.newest = ratesOf(h.last, current)
	h.last = current
	status.Rates = h.newest

	if len(h.times) < samplesKept {
		h.times = append(h.times, 0)
	}
	h.times[h.next] = now.UnixMilli()
	values := map[string]sampled{}
	for _, all := range h.series {
		all[h.next] = math.NaN()
	}
	h.left = 0
	for _, v := range sampleOf(status) {
		all, known := h.series[v.name]
		if !known {
			if len(h.series) >= maxSeries {
				h.left++
				continue
			}
			all = make([]float64, samplesKept)
			for i := range all {
				all[i] = math.NaN()
			}
			h.series[v.name] = all
		}
		all[h.next] = v.value
		values[v.name] = sampled(v.value)
	}
	h.next = (h.next + 1) % samplesKept
	h.samples++
	h.forget()
	return values
}

// forget drops series that have had no value for as long as is kept, so that topics' partitions of the past do not take the room of others.
func (h *history) forget() {
	if h.next != 0 { // once a round is enough
		return
	}
	for name, all := range h.series {
		if !slices.ContainsFunc(all, func(v float64) bool { return !math.IsNaN(v) }) {
			delete(h.series, name)
		}
	}
}

type namedValue struct {
	name  string
	value float64
}

// sampleOf are the values of a sample: first what there is of each topic, then partitions in their order.
func sampleOf(s *Status) []namedValue {
	all := []namedValue{
		{"memory/residentIndex", float64(s.Memory.ResidentIndex)}, {"memory/blockCache", float64(s.Memory.BlockCache)},
		{"memory/memtables", float64(s.Memory.Memtables)}, {"memory/go", float64(s.Memory.Go)},
	}
	rates := s.Rates
	if rates == nil {
		rates = &Rates{CommandsPerSecond: math.NaN(), FailedPerSecond: math.NaN(), LatencyP50Seconds: -1, LatencyP99Seconds: -1}
	}
	known := func(v float64) float64 {
		if v < 0 {
			return math.NaN()
		}
		return v
	}
	all = append(all, namedValue{"commands/run", rates.CommandsPerSecond}, namedValue{"commands/failed", rates.FailedPerSecond},
		namedValue{"latency/p50", known(rates.LatencyP50Seconds)}, namedValue{"latency/p99", known(rates.LatencyP99Seconds)})
	for _, t := range s.Topics {
		applied, ok := rates.AppliedPerSecond[t.Name]
		if !ok {
			applied = math.NaN()
		}
		all = append(all, namedValue{"applied/" + t.Name, applied})
	}
	for _, t := range s.Topics {
		for _, p := range t.Partitions {
			lag := float64(p.Lag)
			if p.End < 0 {
				lag = math.NaN()
			}
			all = append(all, namedValue{fmt.Sprintf("lag/%s/%d", t.Name, p.Partition), lag},
				namedValue{fmt.Sprintf("lagSeconds/%s/%d", t.Name, p.Partition), known(p.LagSeconds)})
		}
	}
	return all
}

// ratesOf is nil without a sample before.
func ratesOf(before, now totals) *Rates {
	over := now.at.Sub(before.at).Seconds()
	if before.at.IsZero() || over <= 0 {
		return nil
	}
	r := &Rates{OverSeconds: over, AppliedPerSecond: map[string]float64{}, LatencyP50Seconds: -1, LatencyP99Seconds: -1}
	for name, n := range now.applied {
		r.AppliedPerSecond[name] = since(before.applied[name], n) / over
	}
	r.FailedPerSecond = since(before.commands.Failed, now.commands.Failed) / over
	counts := make([]float64, len(now.commands.Counts))
	sum := 0.0
	for i, n := range now.commands.Counts {
		was := uint64(0)
		if i < len(before.commands.Counts) {
			was = before.commands.Counts[i]
		}
		counts[i] = since(was, n)
		sum += counts[i]
	}
	r.CommandsPerSecond = sum / over
	if sum > 0 {
		r.LatencyP50Seconds = quantile(now.commands.Bounds, counts, sum*0.5)
		r.LatencyP99Seconds = quantile(now.commands.Bounds, counts, sum*0.99)
	}
	return r
}

// since is 0 of a counter that was set back.
func since(before, now uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now - before)
}

// quantile is where the rank lies if a bucket's observations are spread evenly over it; the last bound of what is above all.
func quantile(bounds []time.Duration, counts []float64, rank float64) float64 {
	lower := 0.0
	for i, bound := range bounds {
		upper := bound.Seconds()
		if counts[i] >= rank && counts[i] > 0 {
			return lower + (upper-lower)*rank/counts[i]
		}
		rank -= counts[i]
		lower = upper
	}
	return lower
}

// kept is what /api/v1/history answers: the oldest sample first.
type kept struct {
	IntervalSeconds float64         `json:"intervalSeconds"`
	Times           []int64         `json:"times"` // milliseconds since 1970
	Series          map[string]line `json:"series"`
	NotKept         int             `json:"notKept"` // series for which there was no room
}

// line is a series, of which NaN is what is not known.
type line []float64

// MarshalJSON writes null for what is not known. It is one call for all numbers, of which there may be half a million.
func (l line) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 8*len(l)+2), '[')
	for i, v := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = sampled(v).append(b)
	}
	return append(b, ']'), nil
}

func (h *history) all() (k kept, samples uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.times)
	first := 0
	if n == samplesKept {
		first = h.next
	}
	k = kept{IntervalSeconds: sampleInterval.Seconds(), Times: inOrder(h.times, first, n), Series: make(map[string]line, len(h.series)), NotKept: h.left}
	for name, values := range h.series {
		k.Series[name] = inOrder(values, first, n)
	}
	return k, h.samples
}

// inOrder is a copy of n values of a ring from first on.
func inOrder[T any](ring []T, first, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = ring[(first+i)%len(ring)]
	}
	return all
}

// json is made once for each sample that is asked for, since it may be megabytes.
func (h *history) json() ([]byte, error) {
	h.encoding.Lock()
	defer h.encoding.Unlock()
	h.mu.Lock()
	samples := h.samples
	h.mu.Unlock()
	if h.encoded != nil && h.encodedAt == samples {
		return h.encoded, nil
	}
	k, samples := h.all()
	b, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	h.encoded, h.encodedAt = b, samples
	return b, nil
}

func (s *Server) serveHistory(w http.ResponseWriter, _ *http.Request) {
	b, err := s.history.json()
	if err != nil {
		writeError(w, http.StatusInternalServerError, "encode: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // a peer that has left has nobody to tell
}
