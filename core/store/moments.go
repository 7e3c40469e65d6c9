package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// moments are what lies between two changes of a store. Views hold one, together; a change waits for them, until the last of their times is
// up: then it takes the moment from those that are left, who find out at their next look. Views that come while a change waits
// are let in after it, before the next, so that neither side starves.
type moments struct {
	time time.Duration // that a View has once a change waits for it

	taken atomic.Uint64 // how often a moment was taken from Views

	mu       sync.Mutex
	changing bool // a change is under way, or waits for Views
	held     int  // Views that hold the moment
	until    time.Time
	left     chan struct{} // tells a change that the last View has gone; has room for one
	next     *turn         // of those that wait; nil: none
}

// turn is the moment after a change, for Views that wait for it.
type turn struct {
	come    chan struct{} // closed when it has come, with taken set
	waiting int
	taken   uint64
}

func newMoments(d time.Duration) *moments {
	return &moments{time: d, left: make(chan struct{}, 1)}
}

// change begins a change, which ends with changed: no View sees a part of it. The caller holds Store.apply, and may have begun already.
func (m *moments) change() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changing {
		return
	}
	m.changing = true
	if m.held > 0 {
		m.awaitViews()
	}
}

// awaitViews returns when no View holds the moment any more. It lets go of mu while it waits.
func (m *moments) awaitViews() {
	timer := time.NewTimer(time.Until(m.until))
	defer timer.Stop()
	for m.held > 0 {
		m.mu.Unlock()
		var late bool
		select {
		case <-m.left:
		case <-timer.C:
			late = true
		}
		m.mu.Lock()
		if late && m.held > 0 {
			m.taken.Add(1)
			m.held = 0
		}
	}
}

// changed ends a change, where one was begun.
func (m *moments) changed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.changing {
		return
	}
	m.changing = false
	if t := m.next; t != nil {
		m.next = nil
		m.held += t.waiting
		m.until = time.Now().Add(m.time)
		t.taken = m.taken.Load()
		close(t.come)
	}
}

// hold takes the present moment, or the one after the change that is under way. It is given back with release, where it is not taken away before: then
// taken is no longer what hold has said.
func (m *moments) hold(ctx context.Context) (taken uint64, err error) {
	m.mu.Lock()
	if !m.changing {
		defer m.mu.Unlock()
		m.held++
		m.until = time.Now().Add(m.time)
		return m.taken.Load(), nil
	}
	if m.next == nil {
		m.next = &turn{come: make(chan struct{})}
	}
	t := m.next
	t.waiting++
	m.mu.Unlock()
	select {
	case <-t.come:
		return t.taken, nil
	case <-ctx.Done():
	}
	m.mu.Lock()
	select {
	case <-t.come:
		m.mu.Unlock()
		m.release(t.taken)
	default:
		t.waiting--
		m.mu.Unlock()
	}
	return 0, fmt.Errorf("wait for a change to end: %w", context.Cause(ctx))
}

func (m *moments) release(taken uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if taken != m.taken.Load() {
		return
	}
	if m.held--; m.held == 0 && m.changing {
		select {
		case m.left <- struct{}{}:
		default:
		}
	}
}
