package store

import (
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

	mu       sync.Mutex
	flush    error // why the last flush failed; nil: it did not
	ended    error // what the last flush ended with; one of nothing ends with an error that is none
	loggedAt time.Time
	unlogged int
}

// failing is why Pebble cannot write now, nil where it can.
func (h *health) failing() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.flush
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
			time.Sleep(retryPause)
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

// flushed waits for a flush that was begun, as long as it does not go on failing.
func (h *health) flushed(done <-chan struct{}) error {
	tick := time.NewTicker(retryPause)
	defer tick.Stop()
	var since time.Time
	for {
		select {
		case <-done:
			return nil
		case <-tick.C:
		}
		err := h.failing()
		switch {
		case err == nil:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= flushPatience:
			return err
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
