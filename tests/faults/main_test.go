package faults

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// kafkaMain ends the shared Kafka before goroutines are counted.
type kafkaMain struct{ m *testing.M }

func (k kafkaMain) Run() int { return kafkatest.Main(k.m) }

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(kafkaMain{m},
		// sarama counts fetch requests in go-metrics' process-wide registry, which has one goroutine for the process.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
	)
}
