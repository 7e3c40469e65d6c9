package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// retryPause is how long Pebble's background work waits after a fault. It tries again at once by itself, and a full disk
	// would keep a core busy.
	retryPause = 100 * time.Millisecond

	// complainEvery bounds how often a lasting fault is logged.
	complainEvery = 10 * time.Second

	// flushPatience is how long a flush may go on failing before whoever asked for it is told.
	flushPatience = 2 * time.Second
)

// health is what Pebble tells of its background work.
type health struct {
	log *slog.Logger

	fence *fence // shut once Pebble cannot go on

	pause    time.Duration // retryPause
	patience time.Duration // flushPatience

	mu       sync.Mutex
	failed   error // ErrFailed with the reason, for good; nil: it goes on
	flush    error // why the last flush failed; nil: it did not
	ended    error // what the last flush ended with; one of nothing ends with an error that is none
	loggedAt time.Time
	unlogged int
}

func newHealth(o Options) *health {
	h := &health{log: o.Logger, pause: cmp.Or(o.pause, retryPause), patience: cmp.Or(o.patience, flushPatience)}
	h.fence = &fence{FS: o.fs, fail: h.fail}
	return h
}

// failing is why Pebble cannot write now, nil where it can.
func (h *health) failing() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed != nil {
		return h.failed
	}
	return h.flush
}

// fail keeps Pebble from changing anything any more. It may be called with any of Pebble's locks held.
func (h *health) fail(why error) {
	failed := fmt.Errorf("%w: %w", ErrFailed, why)
	h.fence.close(failed)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed == nil {
		h.failed = failed
		h.log.Error("store cannot go on until it is opened again", "error", why)
	}
}

// complain logs a fault, or counts it where one was logged a moment ago.
func (h *health) complain(what string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.loggedAt) < complainEvery {
		h.unlogged++
		return
	}
	h.log.Error("pebble", "what", what, "error", err, "unlogged", h.unlogged)
	h.loggedAt, h.unlogged = time.Now(), 0
}

// listener has Pebble go on after faults that it would end the process for: what is damaged is found by the next Open, and
// read again from the log.
func (h *health) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			h.mu.Lock()
			if h.ended != nil && errors.Is(err, h.ended) {
				h.flush = err
			}
			h.mu.Unlock()
			h.complain("background work", err)
			time.Sleep(h.pause)
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			h.complain("damaged file", errors.New(info.String()))
		},
		FlushEnd: func(info pebble.FlushInfo) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.ended = info.Err; info.Err == nil {
				h.flush = nil
			}
		},
	}
}

// flushed waits for a flush that was begun, or for Pebble to recover where done is nil, as long as it does not go on failing.
func (h *health) flushed(done <-chan struct{}) error {
	tick := time.NewTicker(h.pause)
	defer tick.Stop()
	var since time.Time
	for {
		err := h.failing()
		switch {
		case errors.Is(err, ErrFailed):
			return err
		case err == nil && done == nil:
			return nil
		case err == nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= h.patience:
			return err
		}
		select {
		case <-done:
			if err := h.failing(); errors.Is(err, ErrFailed) {
				return err // Pebble may not know
			}
			return nil
		case <-tick.C:
		}
	}
}

// openErr tells a damaged directory from other faults: files that Pebble wrote and that are no longer there, or not whole, or
// not what they were.
func openErr(err error) error {
	if err == nil || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrInUse) {
		return err
	}
	if pebble.IsCorruptionError(err) || errors.Is(err, pebble.ErrDBDoesNotExist) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "object size mismatch") { // Pebble's own text; it has no sentinel for it
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
