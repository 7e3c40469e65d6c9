package loadgen

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/sample"
)

func TestMix(t *testing.T) {
	m, err := ParseMix("get=80, mget=5,set=10,del=2,scan=3")
	if err != nil || m != (Mix{80, 5, 10, 2, 3}) || m.String() != "get=80,mget=5,set=10,del=2,scan=3" {
		t.Errorf("%v, %v", m, err)
	}
	for _, bad := range []string{"", "get", "get=", "get=x", "get=-1", "get=0", "incr=1", "get=1,get=2", "get=1,,set=1"} {
		if m, err := ParseMix(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, m)
		}
	}
}

func TestDistributionParses(t *testing.T) {
	for s, want := range map[string]float64{"uniform": 0, "zipf": 0.99, "zipf:1.5": 1.5, "zipf:1": 1} {
		d, err := ParseDistribution(s)
		if err != nil || d.Exponent != want {
			t.Errorf("%s: %v, %v", s, d, err)
		}
		if again, err := ParseDistribution(d.String()); err != nil || again != d {
			t.Errorf("%s: %s does not parse: %v", s, d, err)
		}
	}
	for _, bad := range []string{"", "zipf:", "zipf:0", "zipf:-1", "zipf:11", "zipf:NaN", "uniform:1", "latest"} {
		if d, err := ParseDistribution(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, d)
		}
	}
}

// TestKeysAreDistributed compares how often each number is drawn with the law, to five standard deviations.
func TestKeysAreDistributed(t *testing.T) {
	const n, draws = 200, 400_000
	for _, s := range []float64{0, 0.3, 0.99, 1, 1.2, 2.5} {
		seed := rand.Uint64()
		t.Logf("exponent %v, seed %d", s, seed)
		r := rand.New(rand.NewPCG(seed, 0))
		c := Distribution{s}.over(n)
		var got [n]int
		for range draws {
			got[c.next(r)]++
		}
		sum := 0.0
		for k := range n {
			sum += math.Pow(float64(k+1), -s)
		}
		for k := range n {
			p := math.Pow(float64(k+1), -s) / sum
			if off := math.Abs(float64(got[k]) - p*draws); off > 5*math.Sqrt(draws*p*(1-p))+1 {
				t.Errorf("exponent %v: number %d was drawn %d times, want about %.0f", s, k, got[k], p*draws)
			}
		}
	}
	if c := (Distribution{0.99}).over(1); c.next(rand.New(rand.NewPCG(1, 1))) != 0 {
		t.Error("of one key another is drawn")
	}
}

// TestKeysOfLargeModels: keys that are not kept are the same.
func TestKeysOfLargeModels(t *testing.T) {
	m := sample.Model{Seed: 4, Organizations: 3, Users: 10, Sessions: 12}
	for _, topic := range sample.Topics() {
		kept := newKeyRing(m, topic)
		made := &keyRing{model: m, topic: topic}
		for i := range records(m, topic) {
			if want := record(m, topic, i).Key(); kept.key(i) != want || made.key(i) != want {
				t.Errorf("%s %d: %s and %s, want %s", topic, i, kept.key(i), made.key(i), want)
			}
		}
	}
}

// TestSchedule: every operation has its time and its connection, once.
func TestSchedule(t *testing.T) {
	for _, tt := range []struct {
		rate        float64
		connections int
		end         time.Duration
	}{{1000, 7, 300 * time.Millisecond}, {3, 5, time.Second}, {12345.6, 1, 50 * time.Millisecond}, {0.5, 2, time.Second}} {
		s := newSchedule(tt.rate, tt.connections, tt.end)
		want := int64(0)
		for s.at(want) < tt.end {
			want++
		}
		if got := s.before(tt.end); got != want {
			t.Errorf("%+v: %d operations, want %d", tt, got, want)
		}
		sum := int64(0)
		for c := range tt.connections {
			k := int64(0)
			for s.of(c, k) < tt.end {
				k++
			}
			if due := s.due(c, tt.end); due != k {
				t.Errorf("%+v: connection %d has %d, want %d", tt, c, due, k)
			}
			sum += k
		}
		if sum != want {
			t.Errorf("%+v: connections have %d operations, want %d", tt, sum, want)
		}
	}
}

// TestRevisedValues: a later revision is valid, its own key's, and different.
func TestRevisedValues(t *testing.T) {
	for _, topic := range sample.Topics() {
		was, err := sample.Encode(record(model, topic, 2))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{string(was): true}
		for revision := 1; revision < 300; revision++ {
			b, err := revised(model, topic, 2, revision)
			if err != nil || seen[string(b)] || !belongs(record(model, topic, 2).Key(), string(b)) || belongs(record(model, topic, 1).Key(), string(b)) {
				t.Fatalf("%s revision %d: %s, %v", topic, revision, b, err)
			}
			seen[string(b)] = true
		}
	}
}
