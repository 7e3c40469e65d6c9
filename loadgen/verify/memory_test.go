package verify

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestEntryBytes holds what the table counts of a key against what the heap grows by: --memory relies on it. A map that has just grown has
// more room than one about to, so there are sizes of both.
func TestEntryBytes(t *testing.T) {
	for _, keys := range []int{100_000, 180_000, 250_000} {
		records := make([]*kgo.Record, keys)
		for i := range records {
			records[i] = &kgo.Record{Key: fmt.Appendf(nil, "%036d", i), Value: []byte("value"), Offset: int64(i)}
		}
		before := heapBytes()
		table := newTable(0, math.MaxInt64)
		table.add(records)
		grown := float64(heapBytes() - before)
		if ratio := grown / float64(table.bytes); ratio < 0.6 || ratio > 1.15 {
			t.Errorf("%d keys: the heap grew by %.0f B a key, the table counts %.0f", keys, grown/float64(keys), float64(table.bytes)/float64(keys))
		}
		runtime.KeepAlive(table)
		runtime.KeepAlive(records)
	}
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
