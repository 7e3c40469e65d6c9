package cache

import "testing"

// Instances are comparable where the points are the same, and agree where the sums are too.
func TestChecksumNumbers(t *testing.T) {
	base := RecordedDigest{Offset: 8192, LogStart: 5, Digest: "00ff"}
	point, sum := base.numbers("topic\x00rules\x00", 3)
	if again, sumAgain := base.numbers("topic\x00rules\x00", 3); again != point || sumAgain != sum || point == sum {
		t.Errorf("%v, %v and then %v, %v", point, sum, again, sumAgain)
	}
	if point != float64(uint64(point)) || point >= 1<<53 || sum >= 1<<53 {
		t.Errorf("%v and %v are not what a float64 holds exactly", point, sum)
	}
	changed := base
	changed.Digest = "00fe"
	if p, s := changed.numbers("topic\x00rules\x00", 3); p != point || s == sum {
		t.Errorf("with other contents: %v, %v; want the same point and another sum than %v, %v", p, s, point, sum)
	}
	for name, of := range map[string]func() (float64, float64){
		"offset":    func() (float64, float64) { r := base; r.Offset++; return r.numbers("topic\x00rules\x00", 3) },
		"log start": func() (float64, float64) { r := base; r.LogStart++; return r.numbers("topic\x00rules\x00", 3) },
		"partition": func() (float64, float64) { return base.numbers("topic\x00rules\x00", 4) },
		"rules":     func() (float64, float64) { return base.numbers("topic\x00others\x00", 3) },
	} {
		if p, s := of(); p == point || s == sum {
			t.Errorf("another %s: the point %v or the sum %v is the same", name, p, s)
		}
	}
}

func TestLastMultiple(t *testing.T) {
	ds := &digests{all: map[int32][]RecordedDigest{1: {{Offset: 4096}, {Offset: 8192}, {Offset: 12288}}}}
	for _, c := range []struct {
		partition int32
		every     int64
		want      int64
		ok        bool
	}{{1, 4096, 12288, true}, {1, 8192, 8192, true}, {1, 16384, 0, false}, {2, 4096, 0, false}} {
		if r, ok := ds.lastMultiple(c.partition, c.every); ok != c.ok || r.Offset != c.want {
			t.Errorf("partition %d, every %d: %d, %v", c.partition, c.every, r.Offset, ok)
		}
	}
}
