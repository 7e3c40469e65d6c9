package cache

import (
	"fmt"
	"testing"

	"github.com/yolean/kafka-cache/core/kafka"
)

// benchRecords are records of 36 B + 200 B.
func benchRecords(n int) []kafka.Record {
	records := make([]kafka.Record, n)
	for i := range records {
		records[i] = kafka.Record{
			Offset: int64(i), Timestamp: 1, Key: fmt.Appendf(nil, "%036d", i),
			Value: fmt.Appendf(nil, `{"id":"%036d","displayName":"%0120d","version":%d}`, i, i, i),
		}
	}
	return records
}

// BenchmarkTake is what a record costs between the fetcher and the store where it means nothing but its encoding. An operation is a record.
func BenchmarkTake(b *testing.B) {
	topic, _ := served(b)
	records := benchRecords(commitRecords)
	s := new(scratch)
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(records) {
		for rest := records; len(rest) > 0; {
			taken, err := s.take(b.Context(), topic, 0, rest, func(dst, _ []byte) ([]byte, bool, error) { return dst, false, nil })
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[taken:]
		}
	}
}
