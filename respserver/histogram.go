package respserver

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// The buckets of a command's duration. The native ones have schema 2 (each 19 % wider than the one before) from 2⁻²⁴ s, 60 ns, to
// 2⁷ s; what is outside is counted with the nearest.
const (
	nativeSchema  = 2
	nativeOctaves = 31
	nativeLowest  = -24 // exponent
	nativeBuckets = nativeOctaves << nativeSchema
)

var classicBounds = [...]time.Duration{
	time.Microsecond, 2 * time.Microsecond, 5 * time.Microsecond, 10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 10 * time.Second,
}

// quarter[i] is 2^(i/4) in nanoseconds' mantissa of 16 bits, for the native index without a logarithm.
var quarter = func() (q [1 << nativeSchema]uint64) {
	for i := range q {
		q[i] = uint64(math.Round(math.Exp2(float64(i)/float64(len(q))) * (1 << 16)))
	}
	return q
}()

// histogram counts durations. It differs from client_golang's in that n equal observations cost as much as one, which is what a pipeline
// of n commands makes, timed as one run.
type histogram struct {
	count   atomic.Uint64
	nanos   atomic.Uint64
	classic [len(classicBounds) + 1]atomic.Uint64
	native  [nativeBuckets]atomic.Uint64
	_       [64]byte // no sharing of cache lines between stripes
}

func (h *histogram) observe(n uint64, d time.Duration) {
	i := 0
	for i < len(classicBounds) && d > classicBounds[i] {
		i++
	}
	h.classic[i].Add(n)
	h.native[nativeIndex(d)].Add(n)
	h.nanos.Add(n * uint64(max(d, 0)))
	h.count.Add(n)
}

// nativeIndex is the bucket whose bounds are (2^((i-1)/4), 2^(i/4)] times 2^nativeLowest seconds.
func nativeIndex(d time.Duration) int {
	// In units of 2⁻²⁴ s with 16 bits behind the point: nanoseconds times 2⁴⁰/10⁹.
	if d <= 0 {
		return 0
	}
	if d > 100*time.Second {
		return nativeBuckets - 1
	}
	hi, lo := bits.Mul64(uint64(d), 1<<40)
	v, _ := bits.Div64(hi, lo, 1_000_000_000)
	if v <= 1<<16 {
		return 0
	}
	octave := bits.Len64(v) - 17
	mantissa := v >> octave // of 17 bits, from 1<<16 on
	i := 0
	for i+1 < len(quarter) && mantissa >= quarter[i+1] {
		i++
	}
	return min(octave<<nativeSchema+i+1, nativeBuckets-1)
}

// commandMetric is a command's duration as Prometheus reads it, in classic and native buckets both.
type commandMetric struct {
	desc *prometheus.Desc
	cmd  *command
}

// Desc is prometheus.Metric's.
func (m commandMetric) Desc() *prometheus.Desc { return m.desc }

// Write is prometheus.Metric's.
func (m commandMetric) Write(out *dto.Metric) error {
	var classic [len(classicBounds) + 1]uint64
	var native [nativeBuckets]uint64
	var nanos uint64
	for i := range m.cmd.durations {
		h := &m.cmd.durations[i]
		nanos += h.nanos.Load()
		for j := range classic {
			classic[j] += h.classic[j].Load()
		}
		for j := range native {
			native[j] += h.native[j].Load()
		}
	}
	hist := &dto.Histogram{
		SampleSum: proto.Float64(float64(nanos) / 1e9), Schema: proto.Int32(nativeSchema), ZeroThreshold: proto.Float64(0), ZeroCount: proto.Uint64(0),
	}
	sum := uint64(0)
	for i, bound := range classicBounds {
		sum += classic[i]
		hist.Bucket = append(hist.Bucket, &dto.Bucket{CumulativeCount: proto.Uint64(sum), UpperBound: proto.Float64(bound.Seconds())})
	}
	// Each observation was counted in a classic bucket first, so the count is theirs, and the native ones are made to add up to it:
	// a scrape in the middle of an observation would otherwise be inconsistent.
	sum += classic[len(classicBounds)]
	hist.SampleCount = proto.Uint64(sum)
	var inNative uint64
	for _, n := range native {
		inNative += n
	}
	if missing := int64(sum - inNative); missing > 0 {
		for i := range native {
			if native[i] > 0 || i == len(native)-1 {
				native[i] += uint64(missing)
				break
			}
		}
	} else {
		for i := 0; i < len(native) && missing < 0; i++ {
			take := min(native[i], uint64(-missing))
			native[i] -= take
			missing += int64(take)
		}
	}
	previous, gap := int64(0), int32(0)
	var span *dto.BucketSpan
	for i, n := range native {
		if n == 0 {
			gap++
			continue
		}
		switch {
		case span == nil:
			span = &dto.BucketSpan{Offset: proto.Int32(int32(i) + nativeLowest<<nativeSchema), Length: proto.Uint32(1)}
			hist.PositiveSpan = append(hist.PositiveSpan, span)
		case gap > 0:
			span = &dto.BucketSpan{Offset: proto.Int32(gap), Length: proto.Uint32(1)}
			hist.PositiveSpan = append(hist.PositiveSpan, span)
		default:
			*span.Length++
		}
		gap = 0
		hist.PositiveDelta = append(hist.PositiveDelta, int64(n)-previous)
		previous = int64(n)
	}
	out.Histogram = hist
	out.Label = []*dto.LabelPair{{Name: proto.String("command"), Value: proto.String(m.cmd.name)}}
	return nil
}
