package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The records of the benchmarks: 36 bytes of key as a UUID has, 200 bytes of value that compress about as JSON does.
const (
	benchKeyLen   = 36
	benchValueLen = 200
)

func benchKey(dst []byte, i uint64) []byte {
	h := i*0x9e3779b97f4a7c15 ^ 0x5851f42d4c957f2d
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 32
	return fmt.Appendf(dst[:0], "%08x-%04x-4%03x-8%03x-%012x", uint32(h), uint16(h>>32), h>>48&0xfff, i&0xfff, i)
}

func benchBatch(from, n int) *Batch {
	b := &Batch{Next: int64(from + n)}
	keys := make([]byte, 0, n*benchKeyLen)
	values := make([]byte, 0, n*benchValueLen)
	var key []byte
	for i := from; i < from+n; i++ {
		key = benchKey(key, uint64(i))
		k := len(keys)
		keys = append(keys, key...)
		v := len(values)
		values = fmt.Appendf(values, `{"id":%q,"email":"user%d@example.net","displayName":"User number %d","groups":["%x","%x"]`, key, i, i, uint64(i)*0x9e3779b97f4a7c15, uint64(i)*0xbf58476d1ce4e5b9)
		for len(values)-v < benchValueLen-1 {
			values = append(values, ' ')
		}
		values = append(values[:v+benchValueLen-1], '}')
		b.Mutations = append(b.Mutations, Mutation{Key: keys[k:], Value: values[v:], Offset: int64(i), Timestamp: 1700000000000 + int64(i)})
	}
	return b
}

// benchLoad applies records [0, n) in batches made ahead, so that only Apply is measured.
func benchLoad(tb testing.TB, s *Store, n, size int) time.Duration {
	tb.Helper()
	var took time.Duration
	for i := 0; i < n; i += size {
		b := benchBatch(i, min(size, n-i))
		begin := time.Now()
		if err := s.Apply(b, nil); err != nil {
			tb.Fatal(err)
		}
		took += time.Since(begin)
	}
	return took
}

func benchRecords(tb testing.TB, n int) int {
	if s := os.Getenv("STORE_BENCH_RECORDS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			tb.Fatal(err)
		}
	}
	return n
}

// BenchmarkApply is a whole load into an empty store, as many records as STORE_BENCH_RECORDS says; ns/op is of the load.
func BenchmarkApply(b *testing.B) {
	n := benchRecords(b, 1_000_000)
	for _, mode := range []string{"dir", "memory"} {
		for _, size := range []int{1000, 4000} {
			b.Run(fmt.Sprintf("%s/batch=%d", mode, size), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					o := Options{}
					if mode == "dir" {
						o = testOptions(b)
					}
					s, err := Open(o)
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					took := benchLoad(b, s, n, size)
					b.StopTimer()
					b.ReportMetric(float64(n)/took.Seconds(), "records/s")
					var written uint64
					for _, l := range s.Stats().Pebble.Levels {
						written += l.TableBytesFlushed + l.TableBytesCompacted
					}
					b.ReportMetric(float64(written)/1e6, "MB-written")
					if err := s.Close(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			})
		}
	}
}

// BenchmarkLoad is a cold load: what an Apply costs, until it is ready and until it is durable. ns/op is of the latter.
func BenchmarkLoad(b *testing.B) {
	n := benchRecords(b, 1_000_000)
	for _, mode := range []string{"dir", "memory"} {
		b.Run(mode, func(b *testing.B) {
			var ready, durable time.Duration
			for b.Loop() {
				b.StopTimer()
				o := Options{}
				if mode == "dir" {
					o = testOptions(b)
				}
				o.Load = true
				s := mustOpen(b, o)
				b.StartTimer()
				took := benchLoad(b, s, n, 2048)
				began := time.Now()
				if err := s.FinishLoad(); err != nil {
					b.Fatal(err)
				}
				ready += took + time.Since(began)
				if err := s.WaitDurable(b.Context()); err != nil {
					b.Fatal(err)
				}
				durable += took + time.Since(began)
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(n)*float64(b.N)/ready.Seconds(), "ready/s")
			b.ReportMetric(float64(n)*float64(b.N)/durable.Seconds(), "durable/s")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	n := benchRecords(b, 1_000_000)
	s := mustOpen(b, Options{})
	benchLoad(b, s, n, 4000)
	keys := make([][]byte, 1<<16)
	for i := range keys {
		keys[i] = benchKey(nil, rand.Uint64N(uint64(n)))
	}
	b.Run("serial", func(b *testing.B) {
		dst := make([]byte, 0, 1024)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, ok, err := s.Get(dst, keys[i&(len(keys)-1)]); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			dst := make([]byte, 0, 1024)
			for i := rand.IntN(len(keys)); pb.Next(); i++ {
				if _, ok, err := s.Get(dst, keys[i&(len(keys)-1)]); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	})
}

// BenchmarkRange goes through 10,000 entries from the middle of a million; ns/op is of one entry.
func BenchmarkRange(b *testing.B) {
	n := benchRecords(b, 1_000_000)
	const page = 10_000
	for _, mode := range []string{"dir", "memory"} {
		b.Run(mode, func(b *testing.B) {
			var o Options
			if mode == "dir" {
				o = testOptions(b)
			}
			o.Load = true
			s := mustOpen(b, o)
			benchLoad(b, s, n, 4000)
			if err := s.EndLoad(); err != nil {
				b.Fatal(err)
			}
			middle := []byte{'8'}
			for _, c := range []struct {
				name string
				o    RangeOptions
			}{
				{"ascending", RangeOptions{Lower: middle}},
				{"descending", RangeOptions{Upper: middle, Reverse: true}},
				{"ascending keys", RangeOptions{Lower: middle, KeysOnly: true}},
				{"descending keys", RangeOptions{Upper: middle, Reverse: true, KeysOnly: true}},
			} {
				b.Run(c.name, func(b *testing.B) {
					b.ReportAllocs()
					for done := 0; done < b.N; {
						met := 0
						err := s.RangeWith(c.o, func(Entry) bool { met++; done++; return met < page && done < b.N })
						if err != nil || met == 0 {
							b.Fatal(met, err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkOpen is a warm open: it fills the index from the directory.
func BenchmarkOpen(b *testing.B) {
	n := benchRecords(b, 1_000_000)
	o := testOptions(b)
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	benchLoad(b, s, n, 4000)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if s.Len() != int64(n) {
			b.Fatal(s.Len())
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkMemory is the resident memory of a process that holds the entries with a directory, after load and flush.
// Run it alone: what other benchmarks left behind counts too.
func BenchmarkMemory(b *testing.B) {
	n := benchRecords(b, 1_000_000)
	for b.Loop() {
		b.StopTimer()
		s := mustOpen(b, testOptions(b))
		b.ReportMetric(float64(rss(b))/1e6, "empty-MB")
		benchLoad(b, s, n, 4000)
		b.ReportMetric(float64(rss(b))/1e6, "loaded-MB")
		if err := s.Flush(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(rss(b))/1e6, "flushed-MB")
		runtime.GC()
		debug.FreeOSMemory()
		b.ReportMetric(float64(rss(b))/1e6, "scavenged-MB")
		st := s.Stats()
		b.ReportMetric(float64(st.TableBytes+st.LiveBytes+st.GarbageBytes)/float64(n), "index-B/entry")
		b.StartTimer()
	}
}

// rss is the process's resident memory in bytes, as Linux counts it.
func rss(tb testing.TB) int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Skip(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// BenchmarkApplyOne is what the tail does while little is written: commits of one record, over existing keys.
func BenchmarkApplyOne(b *testing.B) {
	s := mustOpen(b, Options{})
	const keys = 10_000
	benchLoad(b, s, keys, 1000)
	batches := make([]*Batch, keys)
	for i := range batches {
		batches[i] = benchBatch(i, 1)
	}
	next := int64(keys)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		batch := batches[i%keys]
		batch.Mutations[0].Offset = next
		next++
		batch.Next = next
		if err := s.Apply(batch, nil); err != nil {
			b.Fatal(err)
		}
	}
}
