package store

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"
)

func encodeEntry(e entry) []byte {
	b := make([]byte, e.size())
	e.put(b)
	return b
}

func TestEntryRoundTrip(t *testing.T) {
	for _, e := range []entry{
		{},
		{value: []byte("v")},
		{noValue: true},
		{Meta: Meta{Partition: math.MaxInt32, Offset: math.MaxInt64, Timestamp: math.MinInt64, Source: []byte{}}, value: []byte("v")},
		{Meta: Meta{Partition: 127, Offset: 128, Timestamp: math.MaxInt64, Source: bytes.Repeat([]byte("s"), 300)}},
		{Meta: Meta{Timestamp: -1, Headers: []Header{{}, {Key: []byte("k"), Value: []byte{}}, {Key: bytes.Repeat([]byte("k"), 200), Value: make([]byte, 127)}}}, value: make([]byte, 1000)},
	} {
		got, err := parseEntry(encodeEntry(e), nil)
		if err != nil || !equalMeta(got.Meta, e.Meta) || !bytes.Equal(got.value, e.value) || got.noValue != e.noValue {
			t.Errorf("%+v comes back as %+v, %v", e, got, err)
		}
	}
}

func TestEntryOfAnotherFormat(t *testing.T) {
	for _, b := range [][]byte{{entryVersion + 1, 0, 0, 0, 0}, {entryVersion, 0x80, 0, 0, 0}} {
		if _, err := parseEntry(b, nil); !errors.Is(err, ErrFormat) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if _, err := parseCheckpoint(positionKey(1), []byte{checkpointVersion + 1, 0, 0, 0}); !errors.Is(err, ErrFormat) {
		t.Errorf("checkpoint: %v", err)
	}
}

// FuzzEntry: bytes that parse have one spelling, and those that do not are an error.
func FuzzEntry(f *testing.F) {
	f.Add([]byte{entryVersion, 0, 0, 0, 0})
	f.Add(encodeEntry(entry{Meta: Meta{Partition: 3, Offset: 1 << 40, Timestamp: 1700000000000, Source: []byte("s"),
		Headers: []Header{{Key: []byte("a"), Value: []byte("b")}, {Key: []byte("c")}}}, value: []byte("value")}))
	f.Add(encodeEntry(entry{noValue: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEntry(b, nil)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		if again := encodeEntry(e); !bytes.Equal(again, b) {
			t.Errorf("%x parses and is written as %x", b, again)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(positionKey(0), appendCheckpoint(nil, Checkpoint{}))
	f.Add(positionKey(7), appendCheckpoint(nil, Checkpoint{Next: 1 << 50, LeaderEpoch: -1, FreshAt: time.Unix(1700000000, 5)}))
	f.Fuzz(func(t *testing.T, key, b []byte) {
		c, err := parseCheckpoint(key, b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		if again := appendCheckpoint(nil, c); !bytes.Equal(again, b) || !bytes.Equal(positionKey(c.Partition), key) {
			t.Errorf("%x parses and is written as %x", b, again)
		}
	})
}
