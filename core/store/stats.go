package store

import "github.com/cockroachdb/pebble/v2"

// Stats are numbers for metrics. Those of the index are bytes of address space outside the Go heap; pages that were never
// touched are counted though they cost nothing.
type Stats struct {
	Entries      int64
	SplitKeys    int64           // keys that have another claim beside their winner
	SplitDeleted int64           // of those, keys whose winner is a tombstone
	Tombstones   int64           // keys whose only claim is a tombstone, see Store.SetPartitions
	Held         int64           // keys whose value is held over a refused record, see Mutation.Hold
	TableBytes   int64           // the index's tables
	ChunkBytes   int64           // chunks mapped for keys and values
	LiveBytes    int64           // of those, what entries occupy
	GarbageBytes int64           // of those, what overwritten and deleted entries still occupy
	Pebble       *pebble.Metrics // nil once the store is closed
}

// Stats says how much the store holds. It takes some microseconds, so it is for scrapes rather than for requests.
func (s *Store) Stats() Stats {
	st := s.index.stats()
	if s.gate.enter() != nil {
		return st
	}
	defer s.gate.leave()
	st.Pebble = s.db.Metrics()
	return st
}
