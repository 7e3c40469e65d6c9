package encodings

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// withDaemon makes the tests a daemon to run.
type withDaemon struct{ m *testing.M }

func (w withDaemon) Run() int { return daemontest.Main(w.m.Run) }

func TestMain(m *testing.M) {
	// sarama's metrics library has one ticking goroutine a process, from the first meter on.
	goleak.VerifyTestMain(withDaemon{m}, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}
