package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets of 1/64 of their power of two, so that a
// quantile is at most 1.6 % too high. The zero value is empty.
type histogram struct {
	counts [64 * 59]uint32
	total  uint64
	max    time.Duration
}

func (h *histogram) record(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
	h.max = max(h.max, d)
}

func (h *histogram) reset() { *h = histogram{} }

// quantile is the upper bound of the bucket that holds the q-quantile, and 0 when nothing was recorded.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	seen := uint64(0)
	for i, n := range h.counts {
		seen += uint64(n)
		if n > 0 && seen > rank || seen == h.total && seen > 0 {
			return min(time.Duration(upper(i)), h.max)
		}
	}
	return 0
}

// bucket is the index of the bucket for v: v itself below 64, and then 64 buckets for every power of two.
func bucket(v uint64) int {
	if v < 64 {
		return int(v)
	}
	e := bits.Len64(v) - 7 // v>>e is 64 to 127
	return 64*e + int(v>>e)
}

// upper is the largest value of bucket i.
func upper(i int) uint64 {
	if i < 128 {
		return uint64(i)
	}
	e := i/64 - 1
	return (uint64(i-64*e)+1)<<e - 1
}
