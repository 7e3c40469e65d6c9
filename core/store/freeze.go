package store

// freeze keeps the records of all entries where they are and as they are until thaw, so that they can be read without a lock: nothing is
// overwritten in place, collected or given back meanwhile. What changes leave behind is garbage until then.
func (x *index) freeze() {
	for i := range x.shards {
		s := &x.shards[i]
		s.writer.Lock()
		s.frozen = true
		s.writer.Unlock()
	}
}

// thaw ends it, and collects what has become garbage.
func (x *index) thaw() error {
	for i := range x.shards {
		if err := x.shards[i].thaw(); err != nil {
			return err
		}
	}
	return nil
}

func (s *shard) thaw() error {
	s.writer.Lock()
	s.frozen = false
	for n := range s.chunks {
		if c := &s.chunks[n]; c.used > 0 && c.live == 0 {
			s.release(n)
		}
	}
	s.writer.Unlock()
	for {
		more, err := s.collectOnce()
		if err != nil || !more {
			return err
		}
	}
}

// collectOnce is a step of a collection where one is wanted.
func (s *shard) collectOnce() (more bool, err error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.closed || !s.wantsCollection() {
		return false, nil
	}
	return true, s.collectStep()
}
