package loadgen

import "testing"

func TestObjectives(t *testing.T) {
	for _, s := range []string{"p99=2ms", "get.p99.9=5ms", "p100=1s", "max=1s", "scan.mean=3µs", "errors=0", "errors=0.1%", "set.errors=3", "get.misses=5%", "late=0", "rate=20000"} {
		if o, err := ParseObjective(s); err != nil || o.String() != s {
			t.Errorf("%s: %v, %v", s, o, err)
		}
	}
	for _, s := range []string{"", "p99", "p99=", "p99=2", "p0=1s", "p101=1s", "px=1s", "p99=-1s", "max=0s", "errors=-1", "errors=x", "errors=NaN", "incr.p99=1s", "get.late=0", "get.rate=1", "get=1", "speed=9", "pNaN=1s"} {
		if o, err := ParseObjective(s); err == nil {
			t.Errorf("%q is taken for %+v", s, o)
		}
	}
}

// TestAttainment: each measure is compared with its limit, to either side.
func TestAttainment(t *testing.T) {
	c := &collector{load: &Load{}}
	get, set := &c.total.by[Get], &c.total.by[Set]
	get.latency, set.latency = newHistogram(), newHistogram()
	for i := range 100 {
		_ = get.latency.RecordValue(int64(i+1) * 1e6) // 1 to 100 ms
	}
	get.operations, get.misses = 100, 10
	_ = set.latency.RecordValue(5e8)
	set.operations = 1
	set.fail("READONLY", 3)
	r := Report{Rate: 1000, Schedule: &Schedule{Intended: 200, Late: 2}}
	for s, want := range map[string]bool{
		"get.p50=51ms": true, "get.p50=49ms": false, "p100=1s": true, "max=400ms": false, "get.max=101ms": true, "get.mean=51ms": true, "get.mean=40ms": false,
		"get.errors=0": true, "errors=3": true, "errors=2": false, "set.errors=75%": true, "set.errors=74%": false, "errors=3%": true, "errors=2%": false,
		"misses=10": true, "get.misses=9%": false, "late=2": true, "late=1": false, "late=1%": true, "late=0.9%": false, "rate=1000": true, "rate=1001": false,
		"del.p99=1h": false, "del.errors=0": false,
	} {
		if a := c.attainment(objectives(t, s)[0], &r); a.Met != want {
			t.Errorf("%s: %+v, want %v", s, a, want)
		}
	}
	r.Schedule.Unsent = 1
	for s, want := range map[string]bool{"get.p50=51ms": false, "errors=3": true, "late=2": false} {
		if a := c.attainment(objectives(t, s)[0], &r); a.Met != want {
			t.Errorf("with an operation unsent, %s: %+v, want %v", s, a, want)
		}
	}
}
