package kafka

import (
	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
)

// protocolVersion chooses the versions of requests; what a broker offers (KIP-35) lowers them. 3.9 is the oldest Kafka
// that is supported.
var protocolVersion = sarama.V3_9_0_0

// maxDecompressedBatch bounds what one record batch may decompress to.
const maxDecompressedBatch = 256 << 20

func init() {
	// A small batch can decompress to any size, and sarama has one setting for the process, unbounded by default. What
	// an embedding program has set stays.
	if sarama.MaxDecompressedBatchSize == 0 {
		sarama.MaxDecompressedBatchSize = maxDecompressedBatch
	}
}

// brokerConfig is the configuration of a sarama.Broker over a connection that is already there: dialling, TLS and
// deadlines are ours.
func (c *Config) brokerConfig(over *conn) *sarama.Config {
	s := sarama.NewConfig()
	s.Version = protocolVersion
	s.ClientID = c.ClientID
	s.MetricRegistry = discardMetrics{}
	s.Net.Proxy.Enable = true
	s.Net.Proxy.Dialer = over
	s.Net.MaxOpenRequests = 1
	s.Net.DialTimeout = c.DialTimeout
	s.Net.ReadTimeout = c.ReadTimeout
	s.Net.WriteTimeout = c.ReadTimeout
	if c.SASL != nil {
		over.auth = &authentication{sasl: c.SASL, timeout: c.DialTimeout, settings: s}
		over.auth.enable()
	}
	return s
}

// discardMetrics is a registry that keeps nothing: nobody would read it, and a real one costs time for each response.
type discardMetrics struct{}

func (discardMetrics) Each(func(string, any))                    {}
func (discardMetrics) Get(string) any                            { return nil }
func (discardMetrics) GetAll() map[string]map[string]interface{} { return nil }
func (discardMetrics) Register(string, any) error                { return nil }
func (discardMetrics) RunHealthchecks()                          {}
func (discardMetrics) Unregister(string)                         {}
func (discardMetrics) UnregisterAll()                            {}

func (discardMetrics) GetOrRegister(_ string, metric any) any {
	switch m := metric.(type) {
	case func() metrics.Meter:
		return metrics.NilMeter{}
	case func() metrics.Histogram:
		return metrics.NilHistogram{}
	case func() metrics.Counter:
		return metrics.NilCounter{}
	case func() metrics.Gauge:
		return metrics.NilGauge{}
	default:
		return m
	}
}
