package store

import "github.com/cockroachdb/pebble/v2"

// A table that grows is copied, and its successor's pages are taken from the system, again and again on the way to its size: a tenth of what
// a load costs. Where it is known about how many keys are to come, tables begin at that size instead.

// expect makes the tables of an empty index large enough for n keys: nothing is wrong where others come, but that tables have to grow, or that fit
// has something to give back.
func (x *index) expect(n int64) error {
	if n < shardCount { // a page each, which they begin with
		return nil
	}
	each := int(n / shardCount)
	each += each / 16 // keys do not spread evenly, and one more than fits would cost it all
	for i := range x.shards {
		s := &x.shards[i]
		s.writer.Lock()
		var err error
		if s.table.slots == nil && !s.closed {
			err = s.resize(each * 20 / 17)
		}
		s.writer.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// fit gives back what tables have beyond what their keys need, by the measure of remove.
func (x *index) fit() error {
	for i := range x.shards {
		s := &x.shards[i]
		s.writer.Lock()
		var err error
		if len(s.table.mem) > pageSize && s.n < int(s.table.homes)/4 && !s.closed {
			err = s.resize(s.n + s.n/2)
		}
		s.writer.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// entriesInTables is about how many entries Pebble has: what its tables say, where a key that lies in several of them counts in each.
func (s *Store) entriesInTables() (n int64, err error) {
	levels, err := s.db.SSTables(pebble.WithProperties())
	if err != nil {
		return 0, err
	}
	for _, level := range levels {
		for _, t := range level {
			if p := t.Properties; p != nil {
				n += int64(p.NumEntries) - 2*int64(p.NumDeletions)
			}
		}
	}
	return max(n, 0), nil
}
