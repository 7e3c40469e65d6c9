package main

import (
	"fmt"
	"time"
)

// maxPipeline bounds what one connection has in flight, so that its requests fit
// into one buffer of the kernel.
const maxPipeline = 1024

// getLoad is a loop of GETs of random entries. Without a Rate it is closed: each
// connection writes Pipeline requests at once, waits for all replies, and writes
// the next ones. With one it is open: so many requests a second fall due at even
// distances, whatever has become of those before, and are timed from when they
// were due; each is written alone, as soon as a connection is free.
type getLoad struct {
	Addr        string
	Password    string // "" does not log in
	Rate        int    // requests a second; 0: a closed loop
	ServerPID   int
	Connections int
	Pipeline    int
	OneCommand  bool // the requests of a batch are the keys of one MGET
	Entries     uint64
	Warmup      time.Duration
	Measure     time.Duration
	Seed        uint64
}

// getResult is what a getLoad measured after its warm-up. Every reply was
// compared with what was asked for.
type getResult struct {
	Operations uint64
	Elapsed    time.Duration
	P50, P99   time.Duration // from the write of a batch to the arrival of the reply
	ServerCPU  time.Duration
	OwnCPU     time.Duration
}

func (r getResult) perSecond() float64 { return float64(r.Operations) / r.Elapsed.Seconds() }

func (r getResult) serverCPUPerOp() float64 {
	return float64(r.ServerCPU.Nanoseconds()) / float64(r.Operations)
}

// batch is how the requests of a connection are laid out: a head, and then for every key prefix, key and line end.
type batch struct {
	head, prefix string
	replyHead    string // before the replies
}

func (o getLoad) batch() batch {
	if o.OneCommand {
		return batch{head: fmt.Sprintf("*%d\r\n$4\r\nMGET\r\n", o.Pipeline+1), prefix: "$36\r\n", replyHead: fmt.Sprintf("*%d\r\n", o.Pipeline)}
	}
	return batch{prefix: "*2\r\n$3\r\nGET\r\n$36\r\n"}
}

func (b batch) size(n int) int { return len(b.head) + n*(len(b.prefix)+keySize+2) }

// key is where the key of request i begins.
func (b batch) key(i int) int { return b.size(i) + len(b.prefix) }
