package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// errGiveUp in the error of a condition ends the wait for it.
var errGiveUp = errors.New("the process has ended")

// poll asks until done returns nil, at once and then at each interval; the error of one that ctx ended has the last one in it.
func poll(ctx context.Context, interval time.Duration, done func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last error
	for {
		err := done()
		if err == nil || errors.Is(err, errGiveUp) {
			return err
		}
		// What the deadline broke off says nothing.
		if deadline, ok := ctx.Deadline(); last == nil || ctx.Err() == nil && (!ok || time.Until(deadline) > 10*time.Millisecond) {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

// Await polls until done returns nil. After within the scenario has failed, with the last error as what was not so.
func (r *Run) Await(ctx context.Context, within time.Duration, what string, done func(ctx context.Context) error) time.Duration {
	took, ok := r.expect(ctx, within, what, done)
	if !ok {
		r.FailNow()
	}
	return took
}

// expect is Await for what need not end the scenario.
func (r *Run) expect(ctx context.Context, within time.Duration, what string, done func(ctx context.Context) error) (time.Duration, bool) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := poll(ctx, 20*time.Millisecond, func() error { return done(ctx) })
	if err != nil {
		r.Errorf("%s: not within %v: %v", what, within, err)
	}
	return time.Since(began), err == nil
}

// readyPatience is for instances whose readiness is not what is measured. A cache that hangs is never ready.
const readyPatience = 40 * time.Second

// Ready waits until the instance is ready.
func (r *Run) Ready(ctx context.Context, i Instance) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	took, err := i.WaitReady(ctx)
	if err != nil {
		r.Fatalf("it is not ready %v after its start: %v", took.Round(10*time.Millisecond), err)
	}
	return took
}

// Has waits until the instance's contents are want.
func (r *Run) Has(ctx context.Context, i Instance, want map[string]string, within time.Duration) {
	r.Await(ctx, within, "contents", func(ctx context.Context) error {
		got, err := i.All(ctx)
		if err != nil {
			return err
		}
		return difference(got, want)
	})
}

// HasNow is Has at this moment.
func (r *Run) HasNow(ctx context.Context, i Instance, want map[string]string, when string) {
	got, err := i.All(ctx)
	if err == nil {
		err = difference(got, want)
	}
	if err != nil {
		r.Errorf("%s: %v", when, err)
	}
}

// Gets waits until one key has the value.
func (r *Run) Gets(ctx context.Context, i Instance, key, want string, within time.Duration) time.Duration {
	return r.Await(ctx, within, "get "+key, func(ctx context.Context) error {
		got, found, err := i.Get(ctx, key)
		if err == nil && (!found || got != want) {
			err = fmt.Errorf("%q (there: %v) rather than %q", shorten(got), found, want)
		}
		return err
	})
}

// Misses is a key that must not be there at this moment.
func (r *Run) Misses(ctx context.Context, i Instance, key, when string) {
	switch got, found, err := i.Get(ctx, key); {
	case err != nil:
		r.Errorf("%s: get %s: %v", when, key, err)
	case found:
		r.Errorf("%s: %s is %q though the log does not have it", when, key, shorten(got))
	}
}

// difference is nil where the two are equal, and otherwise an error that names ghosts, missing and differing keys.
func difference(got, want map[string]string) error {
	if maps.Equal(got, want) {
		return nil
	}
	var ghosts, missing, differ []string
	for k := range got {
		if _, ok := want[k]; !ok {
			ghosts = append(ghosts, k)
		}
	}
	for k, v := range want {
		if g, ok := got[k]; !ok {
			missing = append(missing, k)
		} else if g != v {
			differ = append(differ, fmt.Sprintf("%s is %q, not %q", k, shorten(g), shorten(v)))
		}
	}
	var parts []string
	for what, keys := range map[string][]string{"ghosts": ghosts, "missing": missing, "wrong": differ} {
		if len(keys) > 0 {
			slices.Sort(keys)
			if keys[0] == "" {
				keys[0] = `""`
			}
			parts = append(parts, fmt.Sprintf("%d %s (%s)", len(keys), what, strings.Join(keys[:min(len(keys), 3)], ", ")))
		}
	}
	slices.Sort(parts)
	return fmt.Errorf("of %d keys %s", len(want), strings.Join(parts, ", "))
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
