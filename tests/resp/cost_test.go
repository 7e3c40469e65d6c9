//go:build !race

package resp_test

import (
	"io"
	"runtime"
	"strings"
	"testing"
)

// TestCostOfAGet: it allocates nothing. It counts the process's allocations over many GETs, pipelined and not; the race detector has pools drop
// some of what is given back to them, so tools/test.sh runs it apart.
func TestCostOfAGet(t *testing.T) {
	f := start(t, nil)
	f.produce("a", "k", strings.Repeat("v", 200))
	p := f.dial()
	for _, pipeline := range []int{1, 16} {
		in := []byte(strings.Repeat(frame("GET", "k")+frame("get", "absent"), pipeline))
		reply := make([]byte, len(strings.Repeat(bulk(strings.Repeat("v", 200))+"$-1\r\n", pipeline)))
		round := func(n int) {
			for range n {
				if _, err := p.nc.Write(in); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(p.r, reply); err != nil {
					t.Fatal(err)
				}
			}
		}
		round(100)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const n = 5000
		round(n)
		runtime.ReadMemStats(&after)
		// The cache goes on fetching meanwhile.
		if each := float64(after.Mallocs-before.Mallocs) / float64(n*2*pipeline); each > 0.2 {
			t.Errorf("%.2f allocations a GET in pipelines of %d", each, 2*pipeline)
		}
	}
}
