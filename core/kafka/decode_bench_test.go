package kafka

import (
	"testing"

	"github.com/IBM/sarama"
)

// BenchmarkDecode turns responses of 60 batches of 70 records, about 1 MiB, into records. One operation is one response.
func BenchmarkDecode(b *testing.B) {
	const batches, each = 60, 70
	value := make([]byte, 200)
	var all []*sarama.RecordBatch
	for i := range int64(batches) {
		one := data(i*each, (i+1)*each-1, each)
		for _, r := range one.Records {
			r.Value = value
		}
		all = append(all, one)
	}
	response := block(all...)
	var d decoder
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.block(response, 0); err != nil {
			b.Fatal(err)
		}
		d.reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batches*each), "ns/record")
}
