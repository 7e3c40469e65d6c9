package store

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// backlog bounds what Pebble has taken and not yet flushed or compacted. Pebble would bound it by holding whoever writes without
// a word, for as long as a disk is full; so it is given limits that it never reaches, and the applier waits here, where a fault
// and Close end the wait.
type backlog struct {
	memory    uint64 // bytes of memtables
	sublevels int32  // of level 0
	step      int    // bytes between two looks
	unseen    int    // bytes committed since the last look, under Store.apply
}

// backlogPause is how long a wait for Pebble sleeps between two looks.
const backlogPause = 2 * time.Millisecond

// takeOver makes the limits that Pebble would have the backlog's.
func (l *backlog) takeOver(p *pebble.Options) {
	p.EnsureDefaults()
	l.memory = uint64(p.MemTableStopWritesThreshold) * p.MemTableSize
	l.sublevels = int32(p.L0StopWritesThreshold)
	l.step = int(p.MemTableSize / 4)
	p.MemTableStopWritesThreshold = 1 << 20
	p.L0StopWritesThreshold = 1 << 20
}

// await returns once there is room for n more bytes, which the caller commits. It holds Store.apply.
func (s *Store) await(n int) error {
	l := s.opts.backlog
	if l.unseen += n; l.unseen < l.step {
		return nil
	}
	for {
		if err := s.opts.health.failing(); err != nil {
			return fmt.Errorf("the store cannot be written: %w", err)
		}
		m := s.db.Metrics()
		if m.MemTable.Size < l.memory && m.Levels[0].Sublevels < l.sublevels {
			l.unseen = 0
			return nil
		}
		select {
		case <-s.gate.closed:
			return ErrClosed
		case <-time.After(backlogPause):
		}
	}
}
