package store

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/objstorage/remote"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// optionNames are all of Pebble's options.
func optionNames(t reflect.Type, prefix string) (names []string) {
	for f := range t.Fields() {
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct && f.Type.Name() == "":
			names = append(names, optionNames(f.Type, prefix+f.Name+".")...)
		default:
			names = append(names, prefix+f.Name)
		}
	}
	return names
}

// TestEveryPebbleOptionIsDecidedOn: an option that Pebble gets, or loses, has to be put in one of the two lists.
func TestEveryPebbleOptionIsDecidedOn(t *testing.T) {
	all := optionNames(reflect.TypeFor[pebble.Options](), "")
	decided := slices.Concat(mayChange, slices.Collect(maps.Keys(mustNotChange)))
	slices.Sort(all)
	slices.Sort(decided)
	if !slices.Equal(all, decided) {
		for _, name := range all {
			if !slices.Contains(decided, name) {
				t.Errorf("nothing is said of %s", name)
			}
		}
		for i, name := range decided {
			if !slices.Contains(all, name) || i > 0 && decided[i-1] == name {
				t.Errorf("%s is no option, or is decided on twice", name)
			}
		}
	}
}

// other makes an option something else than it is.
func other(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Func:
		v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { panic("called") }))
	case reflect.Interface:
		for _, x := range []any{vfs.NewMem(), pebble.ArchiveCleaner{}, engineLogger{}, tracer{}, remote.MakeSimpleFactory(nil)} {
			if reflect.TypeOf(x).Implements(v.Type()) {
				v.Set(reflect.ValueOf(x))
				return
			}
		}
		t.Fatalf("no value of %s", v.Type())
	case reflect.Struct:
		v.Set(reflect.ValueOf(pebble.MakeUserKeyCategories(bytes.Compare, pebble.UserKeyCategory{Name: "all"})))
	default:
		t.Fatalf("no other value of kind %s", v.Kind())
	}
}

type tracer struct{ pebble.LoggerAndTracer }

// TestPebbleOptionsThatMustNotChange: each of them is refused with its name and the reason, before anything is opened.
func TestPebbleOptionsThatMustNotChange(t *testing.T) {
	for name, why := range mustNotChange {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			o := Options{Dir: "/d", FS: fs, Pebble: func(p *PebbleOptions) {
				v := reflect.ValueOf(p).Elem()
				for part := range strings.SplitSeq(name, ".") {
					v = v.FieldByName(part)
				}
				other(t, v)
			}}
			_, err := Open(o)
			if !errors.Is(err, ErrPebbleOptions) || !strings.Contains(err.Error(), name+" must not be changed: "+why) {
				t.Fatalf("Open: %v", err)
			}
			if err := CheckOptions(o); !errors.Is(err, ErrPebbleOptions) {
				t.Errorf("CheckOptions: %v", err)
			}
			if names, err := fs.List("/"); err != nil || len(names) > 0 {
				t.Errorf("there is %v, %v", names, err)
			}
		})
	}
}

// TestPebbleOptions: what may be changed is what Pebble is opened with, in a directory, in memory, and for the tables of a load.
func TestPebbleOptions(t *testing.T) {
	for _, o := range []Options{{Dir: "/d", FS: vfs.NewMem(), FlushInterval: time.Hour}, {Dir: "/d", FS: vfs.NewMem(), Load: true}, {}} {
		cache := pebble.NewCache(1 << 20)
		var flushed, tables, filters atomic.Int64
		o.Pebble = func(p *PebbleOptions) {
			if p.EventListener != nil || p.Logger != nil {
				t.Error("the store's listener or logger is shown")
			}
			p.Cache = cache
			p.EventListener = &pebble.EventListener{
				FlushEnd:      func(pebble.FlushInfo) { flushed.Add(1) },
				TableIngested: func(pebble.TableIngestInfo) { tables.Add(1) },
			}
			p.MemTableSize = 1 << 20
			for i := range p.Levels {
				p.Levels[i].FilterPolicy = countingPolicy{bloom.FilterPolicy(10), &filters}
			}
			p.L0CompactionThreshold, p.L0StopWritesThreshold = 3, 7
		}
		if err := CheckOptions(o); err != nil {
			t.Fatal(err)
		}
		s := mustOpen(t, o)
		if s.opts.backlog.sublevels != 7 || s.opts.backlog.memory != 4<<20 {
			t.Errorf("the bounds of what waits are %+v", s.opts.backlog)
		}
		applyKeys(t, s, 0, "a", "b")
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if keys := keysOf(t, s, RangeOptions{}); len(keys) != 2 {
			t.Errorf("there is %v", keys)
		}
		switch {
		case o.Load && (tables.Load() == 0 || filters.Load() == 0):
			t.Errorf("%d tables were ingested and %d filters written", tables.Load(), filters.Load())
		case o.Dir != "" && !o.Load && (flushed.Load() == 0 || filters.Load() == 0):
			t.Errorf("%d flushes were told and %d filters written", flushed.Load(), filters.Load())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		cache.Unref() // panics where the store has not given back what it had of it
	}
}

// countingPolicy counts the filters that are written.
type countingPolicy struct {
	pebble.FilterPolicy
	n *atomic.Int64
}

func (c countingPolicy) NewWriter(t pebble.FilterType) pebble.FilterWriter {
	c.n.Add(1)
	return c.FilterPolicy.NewWriter(t)
}

// TestStoreStillHearsPebble: a listener that is given does not take the store's place.
func TestStoreStillHearsPebble(t *testing.T) {
	told := make(chan error, 1)
	o := Options{Logger: slog.New(slog.DiscardHandler), pause: time.Nanosecond, Pebble: func(p *PebbleOptions) {
		p.EventListener = &pebble.EventListener{BackgroundError: func(err error) { told <- err }}
	}}.withDefaults()
	p, err := engineOptions(o)
	if err != nil {
		t.Fatal(err)
	}
	fault := errors.New("a fault of the disk")
	p.EventListener.FlushEnd(pebble.FlushInfo{Err: fault})
	p.EventListener.BackgroundError(fault)
	if err := <-told; !errors.Is(err, fault) {
		t.Errorf("the listener was told %v", err)
	}
	if err := o.health.failing(); !errors.Is(err, fault) {
		t.Errorf("the store was told %v", err)
	}
}

func TestPebbleOptionsThatPebbleRefuses(t *testing.T) {
	_, err := Open(Options{Pebble: func(p *PebbleOptions) { p.L0CompactionThreshold, p.L0StopWritesThreshold = 9, 3 }})
	if !errors.Is(err, ErrPebbleOptions) || !strings.Contains(err.Error(), "L0StopWritesThreshold (3)") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}
