package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramBounds(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 65, 127, 128, 129, 1000, 1 << 40, 1<<40 + 1, math.MaxInt64} {
		i := bucket(v)
		if upper(i) < v {
			t.Errorf("%d is in bucket %d, which ends at %d", v, i, upper(i))
		}
		if i > 0 && upper(i-1) >= v {
			t.Errorf("%d is in bucket %d, and the one before ends at %d", v, i, upper(i-1))
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(rng.ExpFloat64() * 1e6)
		all = append(all, d)
		h.record(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999} {
		exact := float64(all[int(q*float64(len(all)))])
		if got := float64(h.quantile(q)); got < exact || got > exact*1.017+1 {
			t.Errorf("quantile %v is %v, not %v", q, got, exact)
		}
	}
	if h.quantile(1) != all[len(all)-1] {
		t.Errorf("maximum %v, not %v", h.quantile(1), all[len(all)-1])
	}
}
