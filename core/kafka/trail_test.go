package kafka

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/core/position"
)

func TestTrailKeepsExponentiallySpacedAnchors(t *testing.T) {
	s := uint64(time.Now().UnixNano())
	t.Logf("seed %d", s)
	rng := rand.New(rand.NewPCG(s, 0))
	for name, step := range map[string]func() int64{
		"one by one": func() int64 { return 1 },
		"batches":    func() int64 { return 1 + rng.Int64N(5000) },
		"leaps":      func() int64 { return 1 << rng.IntN(45) },
	} {
		t.Run(name, func(t *testing.T) {
			var trail Trail
			offset := int64(0)
			for range 20_000 {
				trail.Add(&Batch{HasAnchor: true, Anchor: Anchor{Offset: offset}})
				n := len(trail.Anchors)
				if n > maxAnchors || trail.Anchors[n-1].Offset != offset || trail.Anchors[0].Offset != 0 {
					t.Fatalf("at %d: %v", offset, trail.Anchors)
				}
				offset += step()
			}
			last := trail.Anchors[len(trail.Anchors)-1].Offset
			if name == "one by one" {
				for i := range len(trail.Anchors) - 1 {
					if d, e := last-trail.Anchors[i].Offset, last-trail.Anchors[i+1].Offset; d > 4*max(e, 1)+4 {
						t.Errorf("from %d to %d before the newest", d, e)
					}
				}
				if len(trail.Anchors) < 8 {
					t.Errorf("%d anchors", len(trail.Anchors))
				}
			}
		})
	}
	var extreme Trail
	for i := range 63 {
		extreme.Add(&Batch{HasAnchor: true, Anchor: Anchor{Offset: math.MaxInt64 - math.MaxInt64>>i}})
	}
	extreme.Add(&Batch{HasAnchor: true, Anchor: Anchor{Offset: math.MaxInt64}})
	if n := len(extreme.Anchors); n > maxAnchors || n < 30 {
		t.Errorf("%d anchors", n)
	}
}

func TestTrailIgnoresWhatItHasAlready(t *testing.T) {
	var trail Trail
	trail.Add(&Batch{HasAnchor: true, Anchor: Anchor{Offset: 9, Hash: 1}, Epochs: []EpochRange{{1, 0, 4}, {2, 5, 9}}})
	want := trail.Clone()
	trail.Add(&Batch{})
	trail.Add(&Batch{HasAnchor: true, Anchor: Anchor{Offset: 4, Hash: 2}, Epochs: []EpochRange{{1, 3, 4}}})
	if !reflect.DeepEqual(trail, want) {
		t.Errorf("%+v, want %+v", trail, want)
	}
	trail.Add(&Batch{Epochs: []EpochRange{{2, 10, 12}, {7, 13, 13}}})
	if want := []EpochRange{{1, 0, 4}, {2, 5, 12}, {7, 13, 13}}; !reflect.DeepEqual(trail.Epochs, want) {
		t.Errorf("%+v, want %+v", trail.Epochs, want)
	}
	if !reflect.DeepEqual(want.Epochs, []EpochRange{{1, 0, 4}, {2, 5, 9}}) {
		t.Errorf("the clone became %+v", want.Epochs)
	}
	for i := range int32(200) {
		trail.Add(&Batch{Epochs: []EpochRange{{100 + i, int64(100 + i), int64(100 + i)}}})
	}
	if n := len(trail.Epochs); n != maxTrailEpochs || trail.newestEpoch() != 299 || trail.Epochs[0].Epoch != 299-maxTrailEpochs+1 {
		t.Errorf("%d epochs, newest %d, oldest %d", n, trail.newestEpoch(), trail.Epochs[0].Epoch)
	}
}

func TestTrailContradicts(t *testing.T) {
	trail := Trail{Epochs: []EpochRange{{2, 10, 19}, {5, 30, 39}}}
	for _, tc := range []struct {
		next  int64
		epoch int32
		want  bool
	}{
		{15, 2, false}, {20, 2, false}, {30, 2, false}, {35, 5, false}, {1000, 5, false}, {1000, 9, false},
		{15, position.UnknownEpoch, false}, {0, 0, false}, {10, 1, false}, {5, 1, false},
		{31, 2, true},  // the record at 30 is of epoch 5
		{40, 2, true},  // as the one at 39
		{15, 5, true},  // 15 to 19 are of epoch 2
		{39, 6, true},  // the one at 39 is of epoch 5
		{11, 1, true},  // the one at 10 is of epoch 2
		{20, 3, false}, // a batch that was compacted away may have been of it
		{25, 3, false},
	} {
		if got := trail.Contradicts(tc.next, tc.epoch); got != tc.want {
			t.Errorf("next %d, epoch %d: %v", tc.next, tc.epoch, got)
		}
	}
}

func TestAnchorTellsRecordsApart(t *testing.T) {
	seen := map[uint64]Record{}
	for _, r := range []Record{
		{Key: nil, Value: nil}, {Key: []byte{}, Value: nil}, {Key: nil, Value: []byte{}}, {Key: []byte{}, Value: []byte{}},
		{Key: []byte("a"), Value: []byte("b")}, {Key: []byte("ab"), Value: []byte{}}, {Key: []byte("ab"), Value: nil},
		{Key: nil, Value: []byte("ab")}, {Key: []byte("b"), Value: []byte("a")},
	} {
		a := anchorOf(&r, 3)
		if other, ok := seen[a.Hash]; ok {
			t.Errorf("%+v and %+v have one hash", r, other)
		}
		seen[a.Hash] = r
	}
	r := Record{Offset: 7, Timestamp: 9, Key: []byte("k"), Value: []byte("v")}
	// The value is kept on disk: it must not change from one release to the next.
	if a := anchorOf(&r, 3); a != (Anchor{Offset: 7, LeaderEpoch: 3, Timestamp: 9, Hash: 0x90406a2ad5948254}) {
		t.Errorf("%#v", a)
	}
}

func TestParseTrailRefuses(t *testing.T) {
	good := Trail{Anchors: []Anchor{{1, 0, 5, 6}, {4, 1, 5, 6}}, Epochs: []EpochRange{{0, 1, 3}, {1, 4, 4}}}
	b := good.AppendBinary([]byte("prefix"))[len("prefix"):]
	if got, err := ParseTrail(b); err != nil || !reflect.DeepEqual(got, good) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseTrail(nil); err != nil || !reflect.DeepEqual(got, Trail{}) {
		t.Errorf("%+v, %v", got, err)
	}
	for n := 1; n < len(b); n++ {
		if _, err := ParseTrail(b[:n]); !errors.Is(err, ErrTrail) {
			t.Errorf("%d bytes of %d: %v", n, len(b), err)
		}
	}
	newer := append([]byte{trailVersion + 1}, b[1:]...)
	long := append(append([]byte{}, b...), 0)
	notAscending := Trail{Anchors: []Anchor{{4, 1, 5, 6}, {4, 1, 5, 6}}}
	epochs := Trail{Epochs: []EpochRange{{1, 4, 4}, {1, 5, 5}}}
	many := Trail{Epochs: make([]EpochRange, maxTrailEpochs+1)}
	for i := range many.Epochs {
		many.Epochs[i].Epoch = int32(i)
	}
	for name, b := range map[string][]byte{
		"newer": newer, "longer": long, "not ascending": notAscending.AppendBinary(nil), "one epoch twice": epochs.AppendBinary(nil),
		"too many": many.AppendBinary(nil),
	} {
		if _, err := ParseTrail(b); !errors.Is(err, ErrTrail) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseTrail(f *testing.F) {
	some := Trail{Anchors: []Anchor{{1, -1, -1, 6}, {400, 1, 1 << 40, 1 << 63}}, Epochs: []EpochRange{{0, 1, 3}, {1, 4, math.MaxInt64}}}
	f.Add(some.AppendBinary(nil))
	f.Add([]byte{trailVersion, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		trail, err := ParseTrail(b)
		if err != nil {
			if !errors.Is(err, ErrTrail) {
				t.Fatal(err)
			}
			return
		}
		if len(trail.Anchors) > maxAnchors || len(trail.Epochs) > maxTrailEpochs {
			t.Fatalf("%d anchors, %d epochs", len(trail.Anchors), len(trail.Epochs))
		}
		again, err := ParseTrail(trail.AppendBinary(nil))
		if err != nil || !reflect.DeepEqual(again, trail) {
			t.Fatalf("%+v became %+v, %v", trail, again, err)
		}
		trail.Add(&Batch{HasAnchor: true, Anchor: Anchor{Offset: math.MaxInt64}, Epochs: []EpochRange{{math.MaxInt32, 0, 1}}})
		trail.Contradicts(5, 5)
		if len(trail.Anchors) > maxAnchors {
			t.Fatalf("%d anchors", len(trail.Anchors))
		}
	})
}
