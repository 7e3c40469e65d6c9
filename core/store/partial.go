package store

// partial says whether there are keys of which an index knows nothing though they are there, see refill.
func (x *index) partial(on bool) {
	for i := range x.shards {
		s := &x.shards[i]
		s.writer.Lock()
		s.mu.Lock()
		if s.noted = nil; on {
			s.noted = map[string]struct{}{}
		}
		s.mu.Unlock()
		s.writer.Unlock()
	}
}

// knows says that what get answers of key is all that there is.
func (x *index) knows(key []byte) bool {
	hash := x.hash(key)
	s := x.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.noted == nil || s.closed {
		return true
	}
	if _, ok := s.noted[string(key)]; ok {
		return true
	}
	_, ok := s.find(hash, key)
	return ok
}

// note says of key that the index knows it from here on.
func (x *index) note(key []byte) error {
	s := x.shard(x.hash(key))
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.noted != nil {
		s.noted[string(key)] = struct{}{}
	}
	return nil
}

// noted says that note was called for key, or need not be.
func (x *index) noted(key []byte) bool {
	s := x.shard(x.hash(key))
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.noted[string(key)]
	return ok || s.noted == nil
}

// fill sets what is held of key where nothing is and the key is not noted, and says whether that is so.
func (x *index) fill(hash uint64, key, value []byte, st state) (filled bool, err error) {
	s := x.shard(hash)
	s.writer.Lock()
	defer s.writer.Unlock()
	if _, ok := s.noted[string(key)]; ok {
		return false, nil
	}
	if _, ok := s.find(hash, key); ok {
		return false, nil
	}
	if _, _, err = s.putLocked(hash, key, value, &st); err != nil {
		return false, err
	}
	x.count(&state{}, false, &st, true)
	return true, nil
}
