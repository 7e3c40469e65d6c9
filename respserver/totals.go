package respserver

import "time"

// CommandTotals count the commands that were run since the start (CONFIG RESETSTAT does not set them back), by how long they took.
type CommandTotals struct {
	// Bounds are the buckets' upper bounds, ascending; Counts are the commands in each, and in one more those above the last bound. Each bucket is
	// counted by itself.
	Bounds []time.Duration
	Counts []uint64
	// Failed were answered with an error; those too that were refused before they ran (LOADING, NOPERM, a wrong number of arguments), which Counts do not have.
	Failed uint64
}

// CommandTotals adds up all commands. It may be called at any time, and costs some microseconds.
func (s *Server) CommandTotals() CommandTotals {
	t := CommandTotals{Bounds: classicBounds[:], Counts: make([]uint64, len(classicBounds)+1)}
	for _, c := range s.table.all {
		t.Failed += c.failed.Load() + c.rejected.Load()
		if !c.called() {
			continue
		}
		for i := range c.durations {
			for j := range t.Counts {
				t.Counts[j] += c.durations[i].classic[j].Load()
			}
		}
	}
	return t
}
