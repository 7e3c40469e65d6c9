package loadgen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/yolean/kafka-cache/core/sample"
)

// Distribution says which keys are asked for how often. The zero value is uniform.
type Distribution struct {
	// Exponent is that of Zipf's law, 0 for uniform keys: the k-th most popular key is asked for in proportion to 1/k^Exponent.
	Exponent float64
}

// DefaultExponent is that of YCSB.
const DefaultExponent = 0.99

// ParseDistribution parses "uniform", "zipf" or "zipf:1.2".
func ParseDistribution(s string) (Distribution, error) {
	switch name, exponent, given := strings.Cut(s, ":"); {
	case name == "uniform" && !given:
		return Distribution{}, nil
	case name == "zipf" && !given:
		return Distribution{DefaultExponent}, nil
	case name == "zipf":
		if e, err := strconv.ParseFloat(exponent, 64); err == nil && e > 0 && e <= 10 {
			return Distribution{e}, nil
		}
	}
	return Distribution{}, fmt.Errorf("loadgen: keys %.64q: uniform, zipf, or zipf:EXPONENT above 0 and at most 10", s)
}

// String is what ParseDistribution parses.
func (d Distribution) String() string {
	if d.Exponent == 0 {
		return "uniform"
	}
	return "zipf:" + strconv.FormatFloat(d.Exponent, 'g', -1, 64)
}

// chooser draws numbers of records. It is read only.
type chooser struct {
	n    int
	zipf *zipf // nil: uniform
}

func (d Distribution) over(n int) chooser {
	c := chooser{n: n}
	if d.Exponent > 0 {
		c.zipf = newZipf(d.Exponent, n)
	}
	return c
}

// next draws a number. That the first are the most popular under Zipf's law puts them nowhere near each other: the ids of
// consecutive records have nothing in common.
func (c chooser) next(r *rand.Rand) int {
	if c.zipf == nil {
		return r.IntN(c.n)
	}
	return c.zipf.next(r)
}

// zipf draws ranks by rejection-inversion (W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from
// monotone discrete distributions", 1996): nothing is summed up over the ranks, so millions of keys cost what ten cost, and
// exponents of 1 and less, which math/rand's Zipf does not have, are as good as others.
type zipf struct {
	s             float64 // exponent
	n             float64
	first, last   float64 // the integral's values at the ends
	acceptedBelow float64
}

func newZipf(s float64, n int) *zipf {
	z := &zipf{s: s, n: float64(n)}
	z.first = z.integral(1.5) - 1
	z.last = z.integral(z.n + 0.5)
	z.acceptedBelow = 2 - z.inverse(z.integral(2.5)-z.density(2))
	return z
}

// next draws a rank from 0 on.
func (z *zipf) next(r *rand.Rand) int {
	for {
		u := z.last + r.Float64()*(z.first-z.last)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.acceptedBelow || u >= z.integral(k+0.5)-z.density(k) {
			return int(k) - 1
		}
	}
}

func (z *zipf) density(x float64) float64 { return math.Pow(x, -z.s) }

// integral is that of the density, 0 at 1.
func (z *zipf) integral(x float64) float64 {
	if z.s == 1 {
		return math.Log(x)
	}
	return math.Expm1((1-z.s)*math.Log(x)) / (1 - z.s)
}

func (z *zipf) inverse(y float64) float64 {
	if z.s == 1 {
		return math.Exp(y)
	}
	return math.Exp(math.Log1p(max(y*(1-z.s), -1)) / (1 - z.s))
}

// keptKeys bounds the keys that are made once; of larger models they are made as they are needed (0.4 µs each).
const keptKeys = 1 << 20

// keyRing has a topic's keys by their number. It is read only.
type keyRing struct {
	model sample.Model
	topic string
	kept  []string
}

func newKeyRing(m sample.Model, topic string) *keyRing {
	k := &keyRing{model: m, topic: topic}
	if n := records(m, topic); n <= keptKeys {
		kept := make([]string, n)
		for i := range kept {
			kept[i] = k.key(i)
		}
		k.kept = kept
	}
	return k
}

func (k *keyRing) key(i int) string {
	if k.kept != nil {
		return k.kept[i]
	}
	switch k.topic {
	case sample.Users:
		return k.model.UserID(i).String()
	case sample.Organizations:
		return k.model.OrganizationID(i).String()
	default:
		return k.model.SessionID(i).String()
	}
}
