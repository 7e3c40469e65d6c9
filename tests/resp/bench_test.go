package resp_test

import (
	"io"
	"strings"
	"testing"
)

// BenchmarkRead is what reads cost over one connection, in pipelines: GETs, and the MULTI that rueidis's DoCache sends.
func BenchmarkRead(b *testing.B) {
	f := start(b, nil)
	value := strings.Repeat("v", 200)
	f.produce("a", "k", value)
	for _, bench := range []struct{ name, in, out string }{
		{"get", frame("GET", "k"), bulk(value)},
		{"exec", frame("MULTI") + frame("PTTL", "k") + frame("GET", "k") + frame("EXEC"), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:-1\r\n" + bulk(value)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			const pipeline = 16
			p := f.dial()
			in, out := []byte(strings.Repeat(bench.in, pipeline)), make([]byte, pipeline*len(bench.out))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.nc.Write(in); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(p.r, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pipeline), "ns/each")
		})
	}
}
