package main

import (
	"os"
	"testing"
	"time"
)

func TestOwnProcess(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for began := time.Now(); after == before; {
		if after, err = cpuTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("a busy process uses no CPU time")
		}
	}
	m, err := memoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.resident < 1<<20 || m.peak < m.resident || m.proportional > m.resident+1<<20 {
		t.Errorf("%+v", m)
	}
	if busy, all, err := machineTimes(); err != nil || busy <= 0 || all < busy {
		t.Errorf("busy %d of %d, %v", busy, all, err)
	}
}
