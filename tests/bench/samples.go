package main

import (
	"fmt"
	"math"
	"slices"
)

// samples are one figure, once a round, in the order of rounds.
type samples []float64

func (s samples) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// over is s divided by base, round by round.
func (s samples) over(base samples) samples {
	r := make(samples, min(len(s), len(base)))
	for i := range r {
		r[i] = s[i] / base[i]
	}
	return r
}

// scaled is every sample times f.
func (s samples) scaled(f float64) samples {
	r := make(samples, len(s))
	for i := range r {
		r[i] = s[i] * f
	}
	return r
}

// show is the median, with the minimum and the maximum when there were several
// rounds, each in the fmt verb given; an em dash where nothing was measured.
func (s samples) show(verb string) string {
	switch len(s) {
	case 0:
		return "—"
	case 1:
		return fmt.Sprintf(verb, s[0])
	}
	return fmt.Sprintf(verb+" ("+verb+"–"+verb+")", s.median(), slices.Min(s), slices.Max(s))
}

// rate is how many a second there were of n things that took s seconds.
func (s samples) rate(n int) samples {
	r := make(samples, len(s))
	for i := range r {
		r[i] = float64(n) / s[i]
	}
	return r
}
