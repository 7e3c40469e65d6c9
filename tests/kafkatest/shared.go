package kafkatest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

var shared struct {
	sync.Mutex
	enabled bool
	cluster *Cluster
	err     error
}

// Main runs the tests of a binary that uses [Shared] and then ends that cluster.
// It returns the exit code.
func Main(m *testing.M) int {
	shared.Lock()
	shared.enabled = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster != nil {
		if code != 0 && len(shared.cluster.Brokers) > 0 {
			fmt.Fprintf(os.Stderr, "the shared broker printed last:\n%s\n", shared.cluster.Brokers[0].Log())
		}
		shared.cluster.Close()
	}
	return code
}

// Shared is the cluster of one broker that all tests of this binary may use,
// each with topics of its own. It is started for the first test that asks.
func Shared(tb testing.TB) *Cluster {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.enabled {
		tb.Fatal("kafkatest: Shared needs func TestMain(m *testing.M) { os.Exit(kafkatest.Main(m)) }")
	}
	if shared.cluster == nil && shared.err == nil {
		// It outlives the test that asked first.
		shared.cluster, shared.err = Open(context.WithoutCancel(tb.Context()), Options{})
	}
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.cluster
}
