package store

// write is a change of one Pebble key.
type write struct {
	key    []byte // with its space
	entry  entry
	remove bool
}

// settled is what a key's claims came to: what the index is to hold, and how the claims differ from what was counted.
type settled struct {
	holding
	now   state
	value []byte
	keep  bool // the winner is what it was: only flags change
	left  bool // there is a winner
}

// settle decides what is written for a key whose claims have changed. While tombstones are remembered, those that hide
// nothing stay until none can be missing what they hide, see remembered; otherwise they go.
func (s *Store) settle(h holding, remember bool) (z settled, writes []write) {
	if !remember {
		for i := 0; i < len(h.claims); {
			if c := &h.claims[i]; c.tombstone && !h.hidden(c) {
				h.drop(i)
			} else {
				i++
			}
		}
	}
	z.holding = h
	w := h.winner()
	z.left = w >= 0
	entryLeft := z.left && !h.claims[w].tombstone
	for i := range h.gone {
		switch c := &h.gone[i]; c.stored {
		case asEntry:
			if !entryLeft {
				writes = append(writes, write{key: appendEntryKey(nil, h.key), remove: true})
			}
		case aside:
			writes = append(writes, write{key: claimKey(h.key, c.Partition, c.Source), remove: true})
		}
	}
	for i := range h.claims {
		c := &h.claims[i]
		to := aside
		if i == w && !c.tombstone {
			to = asEntry
		}
		if c.stored == to {
			continue
		}
		switch {
		case c.stored == aside:
			writes = append(writes, write{key: claimKey(h.key, c.Partition, c.Source), remove: true})
		case c.stored == asEntry && !entryLeft:
			writes = append(writes, write{key: appendEntryKey(nil, h.key), remove: true})
		}
		e := entry{Meta: c.Meta, value: c.value, tombstone: c.tombstone}
		if to == asEntry {
			e.noValue = s.inMemory()
			writes = append(writes, write{key: appendEntryKey(nil, h.key), entry: e})
		} else {
			writes = append(writes, write{key: claimKey(h.key, c.Partition, c.Source), entry: e})
		}
	}
	if z.left {
		c := &h.claims[w]
		z.now, z.value = c.state(), c.value
		if len(h.claims) > 1 {
			z.now.flags |= slotSplit
		}
		z.keep = h.held && c.stored != nowhere && c.version() == h.was.version && z.now.head == h.was.head &&
			(z.now.flags^h.was.flags)&slotHead == 0
	}
	return z, writes
}

// state is what the index holds of a claim that wins.
func (c *claim) state() state {
	st := state{version: c.version()}
	switch {
	case c.tombstone:
		st.flags, st.head = slotTombstone, uint64(c.Timestamp)
	case c.Source != nil:
		st.flags, st.head = slotDerived, sourceHash(c.Source)
	}
	if c.Held > 0 && !c.tombstone {
		st.flags |= slotHeld
	}
	return st
}

// updateSettled brings a settled key into the index and the account, whose lock the caller holds.
func (s *Store) updateSettled(z *settled) error {
	var was state
	var err error
	switch {
	case !z.left:
		was, _, err = s.index.remove(z.hash, z.key)
	case z.keep:
		was, _, err = s.index.reflag(z.hash, z.key, z.now.flags&slotSplit, slotSplit&^z.now.flags)
	default:
		was, _, err = s.index.put(z.hash, z.key, z.value, z.now)
	}
	if err != nil {
		return err
	}
	if v := s.verification.Load(); v != nil {
		if was.flags&slotMet != 0 && !z.keep {
			v.note(metHash(z.key, was.source(), was.version))
		}
		for i := range z.claims {
			if c := &z.claims[i]; c.Held > 0 && c.stored == nowhere {
				v.note(metHash(z.key, c.source(), c.heldOver()))
			}
		}
	}
	for i := range z.gone {
		if c := &z.gone[i]; c.stored != nowhere {
			s.account.remove(z.hash, c.source(), c.version(), c.tombstone)
		}
	}
	for i := range z.claims {
		c := &z.claims[i]
		if c.stored == nowhere {
			s.account.add(z.hash, c.source(), c.version(), c.tombstone)
		}
		if c.tombstone && !z.hidden(c) && (c.stored == nowhere || z.gone.hidden(c)) {
			s.remembered.add(z.hash, c.version())
		}
	}
	return nil
}
