package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// generationStep is one step of TestGenerationCrashes.
type generationStep struct {
	id   Identity
	anew string
}

var generationSteps = []generationStep{{withRules("r1"), ""}, {withRules("r2"), ""}, {withRules("r2"), "log-start"}}

// afterCorrupt is the reason of a generation that is made anew since it could not be opened.
const afterCorrupt = "corrupt"

// buildGeneration goes from choosing to completing, its Previous being served meanwhile.
func buildGeneration(fs vfs.FS, step generationStep) (err error) {
	g, err := chooseGeneration(fs, "/data", step.id)
	if err != nil {
		return err
	}
	if step.anew != "" && !g.building() && g.identity == step.id {
		g = g.Anew(step.anew)
	}
	if step.anew == afterCorrupt && g.Reason == "" {
		g = g.Anew(step.anew)
		g.Previous = ""
	}
	if err := g.Prepare(); err != nil {
		return err
	}
	if g.Previous != "" {
		s, err := Open(Options{Dir: g.Previous, ReadOnly: true, fs: fs, tune: quietEngine})
		if err != nil {
			return fmt.Errorf("previous: %w", err)
		}
		v, ok, err := s.Get(nil, []byte("k"))
		if err = errors.Join(err, s.Close()); err != nil || !ok || string(v) != g.Previous {
			return fmt.Errorf("previous: %q, %v, %w", v, ok, err)
		}
	}
	s, err := Open(Options{Dir: g.Dir, FlushInterval: time.Hour, fs: fs, pause: time.Millisecond, patience: 3 * time.Millisecond, tune: quietEngine})
	if err != nil {
		return err
	}
	if v, ok, _ := s.Get(nil, []byte("k")); ok && string(v) != g.Dir {
		return errors.Join(fmt.Errorf("%s has the value of %s", g.Dir, v), s.Close())
	}
	err = s.Apply(&Batch{Mutations: []Mutation{{Key: []byte("k"), Value: []byte(g.Dir)}}, Next: 1}, nil)
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	return g.Complete()
}

// TestGenerationCrashes crashes at every change that generations and their stores make to the file system, and has every change fail:
// what is left is completed by going on, once something is complete there is always something to serve, and it holds what it
// held.
func TestGenerationCrashes(t *testing.T) {
	r := newRand(t)
	every := 1
	if testing.Short() || raceEnabled {
		every = 7
	}
	n, ended := 1+r.IntN(every), false
	for ; !ended; n += every {
		ended = crashGenerations(t, r, n)
	}
	t.Logf("crashes at changes up to %d, every %d", n-every, every)
}

// crashGenerations lets n-1 changes pass, and says whether there were fewer.
func crashGenerations(t *testing.T, r *rand.Rand, n int) (ended bool) {
	mem := vfs.NewCrashableMem()
	var mu sync.Mutex // Pebble flushes beside us
	changes := 0
	var crashed *vfs.MemFS
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if changes++; changes == n {
			crashed = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
		}
		if changes >= n {
			return errors.New("the disk is gone")
		}
		return nil
	}))
	step, complete := 0, 0
	for ; step < len(generationSteps); step++ {
		if err := buildGeneration(fs, generationSteps[step]); err != nil {
			mu.Lock()
			injected := crashed != nil
			mu.Unlock()
			if !injected {
				t.Fatalf("step %d: %v", step, err)
			}
			break
		}
		complete = step + 1
	}
	mu.Lock()
	defer mu.Unlock()
	if crashed == nil {
		return true
	}
	step = min(step, len(generationSteps)-1)
	for name, left := range map[string]*vfs.MemFS{"crash": crashed, "failure": mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: r})} {
		g, err := chooseGeneration(left, "/data", generationSteps[step].id)
		if err != nil {
			t.Fatalf("%s at change %d, step %d: %v", name, n, step, err)
		}
		if complete > 0 && g.building() && g.Previous == "" {
			t.Fatalf("%s at change %d, step %d: nothing to serve: %+v", name, n, step, g)
		}
		if complete == len(generationSteps) && g.building() {
			t.Fatalf("%s at change %d: what was complete is not: %+v", name, n, g)
		}
		err = buildGeneration(left, generationStep{generationSteps[step].id, ""})
		if errors.Is(err, ErrCorrupt) {
			// A crash while Pebble makes its directory can leave a manifest that is named and not there. Open has said so, and whoever
			// called it makes the generation anew.
			err = buildGeneration(left, generationStep{generationSteps[step].id, afterCorrupt})
		}
		if err != nil {
			t.Fatalf("%s at change %d, step %d: going on: %v", name, n, step, err)
		}
		names, err := left.List("/data/v1/" + identityA.Topic)
		if err != nil || len(names) != 1 || strings.HasSuffix(names[0], removedSuffix) {
			t.Fatalf("%s at change %d, step %d: %v are left, %v", name, n, step, names, err)
		}
	}
	return false
}

// quietEngine is smallEngine without a goroutine that Pebble leaves behind where Open fails, and where it is not needed: the
// number of compactions at a time does not change.
func quietEngine(p *pebble.Options) {
	smallEngine(p)
	p.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
}
