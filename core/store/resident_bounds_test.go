package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestResidentLoadOnAFullDisk: while a load cannot be persisted reads go on, nothing more is applied, and the reason is told; once it can, it is.
func TestResidentLoadOnAFullDisk(t *testing.T) {
	full := errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.Contains(op.Path, imagePrefix) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return errors.New("no space is left")
		}
		return nil
	})}
	full.On()
	o := Options{Dir: "/generation", FlushInterval: time.Hour, fs: errorfs.Wrap(vfs.NewMem(), &full), Load: true, image: imageSizes{pause: time.Millisecond}}
	s := mustOpen(t, o)
	first := &Batch{Next: 1, Mutations: []Mutation{{Key: []byte("k"), Value: []byte("1")}}}
	second := &Batch{Next: 2, Mutations: []Mutation{{Key: []byte("k"), Value: []byte("2"), Offset: 1}}}
	mustApply(t, s, first)
	if err := s.FinishLoad(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Meta([]byte("k")); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Fatalf("metadata: %v", err)
	}
	if err := s.Apply(second, nil); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Fatalf("apply: %v", err)
	}
	if durable, err := s.Durable(); durable || err == nil || !strings.Contains(err.Error(), "no space") {
		t.Fatal(durable, err)
	}
	v, err := s.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := v.Get(nil, []byte("k"))
	v.Release()
	if string(got) != "1" || !ok || err != nil {
		t.Fatalf("%q, %v, %v", got, ok, err)
	}
	full.Off()
	if err := s.WaitDurable(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustApply(t, s, second)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	if m, ok, err := s.Meta([]byte("k")); m.Offset != 1 || !ok || err != nil {
		t.Fatal(m, ok, err)
	}
}

// TestViewsWhileAnApplyWaitsForAnImage: with as much applied as may wait for an image that is held up, one more Apply waits, and all that needs the index alone goes on.
func TestViewsWhileAnApplyWaitsForAnImage(t *testing.T) {
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.Contains(op.Path, imagePrefix) {
			once.Do(func() { close(reached) })
			<-goOn
		}
		return nil
	}))
	s := mustOpen(t, Options{Dir: "/generation", FlushInterval: time.Hour, fs: fs, Load: true, runBytes: 16 << 10, image: imageSizes{runs: 1}})
	offset := int64(0)
	put := func() error {
		m := Mutation{Key: fmt.Append(nil, "k", offset%100), Value: make([]byte, 1000), Offset: offset}
		offset++
		return s.Apply(&Batch{Next: offset, Mutations: []Mutation{m}}, nil)
	}
	for range 50 {
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.FinishLoad(); err != nil {
		t.Fatal(err)
	}
	<-reached
	applied := make(chan int64, 1000)
	failed := make(chan error, 1)
	go func() {
		for range 500 {
			if err := put(); err != nil {
				failed <- err
				return
			}
			applied <- offset
		}
		close(applied)
	}()
	count := 0
	for waits := false; !waits; { // two runs are full, and no more is applied for as long as a run takes by far
		select {
		case <-applied:
			count++
		case err := <-failed:
			t.Fatal(err)
		case <-time.After(500 * time.Millisecond):
			waits = true
		}
	}
	if count < 10 || count > 60 {
		t.Fatalf("%d records were applied before one waited", count)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	v, err := s.View(ctx)
	if err != nil {
		t.Fatalf("a view: %v", err)
	}
	if n, err := v.Len(); n != min(int64(count)+50, 100) || err != nil {
		t.Errorf("%d entries, %v", n, err)
	}
	v.Release()
	if v, ok, err := s.Get(nil, []byte("k7")); len(v) != 1000 || !ok || err != nil {
		t.Errorf("%d bytes, %v, %v", len(v), ok, err)
	}
	if next, err := s.Scan(0, 1000, func([]byte) {}); next != 0 || err != nil {
		t.Error(next, err)
	}
	if durable, err := s.Durable(); durable || err != nil {
		t.Error(durable, err)
	}
	close(goOn)
	for range applied {
		count++
	}
	if count != 500 {
		t.Fatalf("%d records applied: %v", count, <-failed)
	}
	if err := s.WaitDurable(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m, ok, err := s.Meta([]byte("k7")); m.Offset != 507 || !ok || err != nil {
		t.Error(m, ok, err)
	}
}

// TestResidentLoadOfOverwrites ends where the timeline, which keeps all records, would come to more than what is kept of them.
func TestResidentLoadOfOverwrites(t *testing.T) {
	s := mustOpen(t, Options{Dir: t.TempDir(), FlushInterval: time.Hour, Load: true, image: imageSizes{timeline: 4 << 10}})
	largest, n := 0, int64(0)
	for ; s.loading.resident != nil; n++ {
		if n == 1<<20 {
			t.Fatal("it is resident for ever")
		}
		mustApply(t, s, &Batch{Next: n + 1, Mutations: []Mutation{{Key: []byte("k"), Value: fmt.Append(nil, n), Offset: n, Timestamp: n}}})
		if s.loading.resident != nil {
			largest = s.loading.resident.bytes
		}
	}
	if bound := max(4<<10, int(s.index.memory.mapped.Load())/timelineShare); largest < bound/2 || largest > bound+maxPage {
		t.Errorf("a timeline of %d bytes beside an index of %d", largest, s.index.memory.mapped.Load())
	}
	if err := s.EndLoad(); err != nil {
		t.Fatal(err)
	}
	if m, ok, err := s.Meta([]byte("k")); m.Offset != n-1 || !ok || err != nil {
		t.Errorf("%+v after %d records, %v, %v", m, n, ok, err)
	}
}
