package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// writeLoad is one client that writes one entry after the other and waits for each.
type writeLoad struct {
	Addr      string // of a server, or Kafka's bootstrap
	Topic     string // of a producer
	ServerPID int    // of a server
	Entries   uint64 // different keys
	Warmup    int    // writes before those that are measured
	Writes    int
	// CheckVisible has every write followed by a GET on another connection,
	// outside of the time that is measured, which must answer what was written.
	CheckVisible bool
}

type writeResult struct {
	Writes    int
	Elapsed   time.Duration // the sum of all times
	P50, P99  time.Duration
	Max       time.Duration
	ServerCPU time.Duration // includes the GETs of CheckVisible
}

func runSetLoad(_ context.Context, o writeLoad) (writeResult, error) {
	writer, err := dialRESP(o.Addr)
	if err != nil {
		return writeResult{}, err
	}
	defer writer.close()
	reader, err := dialRESP(o.Addr)
	if err != nil {
		return writeResult{}, err
	}
	defer reader.close()
	write := func(key, value []byte) error {
		_, err := writer.do([]byte("SET"), key, value)
		return err
	}
	check := func(key, value []byte) error {
		if !o.CheckVisible {
			return nil
		}
		got, err := reader.do([]byte("GET"), key)
		if err == nil && !bytes.Equal(got, value) {
			err = fmt.Errorf("after OK of SET %s %s a GET answers %q", key, value, got)
		}
		return err
	}
	return timeWrites(o, write, check)
}

// timeWrites calls write and then check for every entry and measures write.
func timeWrites(o writeLoad, write, check func(key, value []byte) error) (writeResult, error) {
	var times histogram
	var r writeResult
	var cpu time.Duration
	var key, value []byte
	for i := range o.Warmup + o.Writes {
		if i == o.Warmup {
			times.reset()
			r.Elapsed = 0
			if o.ServerPID != 0 {
				var err error
				if cpu, err = cpuTime(o.ServerPID); err != nil {
					return r, err
				}
			}
		}
		n := mix(uint64(i)) % o.Entries
		key, value = appendKey(key[:0], n), appendValue(value[:0], n, uint64(i)+1)
		began := time.Now()
		if err := write(key, value); err != nil {
			return r, fmt.Errorf("write %d: %w", i, err)
		}
		took := time.Since(began)
		times.record(took)
		r.Elapsed += took
		if err := check(key, value); err != nil {
			return r, err
		}
	}
	r.Writes, r.P50, r.P99, r.Max = o.Writes, times.quantile(0.5), times.quantile(0.99), times.max
	if o.ServerPID != 0 {
		after, err := cpuTime(o.ServerPID)
		if err != nil {
			return r, err
		}
		r.ServerCPU = after - cpu
	}
	return r, nil
}
