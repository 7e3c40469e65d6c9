package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/wire"
)

// flood is connections that ask and never read.
type flood struct {
	Addr        string
	Connections int
	Depth       int // commands that each connection sends at once
	Key         string
	Delay       time.Duration // before it begins
	For         time.Duration
}

// floodResult says what became of them.
type floodResult struct {
	Opened int64 // connections, with those that were opened again
	Failed int64 // that could not be
}

// floodAgain is how often a connection sends one command more: by the error that this is answered with a peer learns that it has been closed without
// reading anything, and comes again.
const floodAgain = time.Second

func runFlood(ctx context.Context, o flood) (floodResult, error) {
	if o.Delay > 0 {
		select {
		case <-time.After(o.Delay):
		case <-ctx.Done():
			return floodResult{}, ctx.Err()
		}
	}
	get := []byte(wire.Frame("GET", o.Key))
	deep := bytes.Repeat(get, o.Depth)
	until := time.Now().Add(o.For)
	var opened, failed atomic.Int64
	var all sync.WaitGroup
	for range o.Connections {
		all.Go(func() {
			for time.Now().Before(until) {
				c, err := (&net.Dialer{Deadline: until}).DialContext(ctx, "tcp", o.Addr)
				if err != nil {
					failed.Add(1)
					time.Sleep(min(floodAgain, time.Until(until)))
					continue
				}
				opened.Add(1)
				_ = c.SetWriteDeadline(until)
				_, err = c.Write(deep)
				for err == nil && time.Now().Before(until) {
					time.Sleep(min(floodAgain, time.Until(until)))
					_, err = c.Write(get)
				}
				_ = c.Close()
			}
		})
	}
	all.Wait()
	if opened.Load() == 0 {
		return floodResult{}, fmt.Errorf("no connection could be opened to %s", o.Addr)
	}
	return floodResult{opened.Load(), failed.Load()}, nil
}
