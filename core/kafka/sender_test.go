package kafka

import "testing"

// TestRequestsLetWritersRun: a request that follows one of several records lets others run for as long as that brings records; one that follows a single record goes at once.
func TestRequestsLetWritersRun(t *testing.T) {
	for _, tt := range []struct {
		last, writers, want int
	}{{0, 5, 0}, {1, 5, 0}, {2, 0, 1}, {2, 1, 2}, {50, 2, 3}, {50, 1000, maxYields}} {
		s := &sender{p: &Producer{}, last: tt.last}
		writers, yields := tt.writers, 0
		s.gather(func() {
			yields++
			if writers > 0 {
				writers--
				s.p.routed.Add(1)
			}
		})
		if yields != tt.want {
			t.Errorf("after %d records, with %d who are about to write, others ran %d times, want %d", tt.last, tt.writers, yields, tt.want)
		}
	}
}
