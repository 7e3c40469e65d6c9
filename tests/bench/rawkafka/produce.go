package rawkafka

import (
	"github.com/IBM/sarama"
)

// Producer is sarama's own producer, idempotent and with acks=all, as an application has it that sets nothing else. It is safe for concurrent use.
type Producer struct {
	topic string
	sync  sarama.SyncProducer
}

// NewProducer connects to a broker. Close it.
func NewProducer(addr, topic string) (*Producer, error) {
	c := sarama.NewConfig()
	c.Version = sarama.V3_9_0_0
	c.Producer.Idempotent = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Net.MaxOpenRequests = 1 // what sarama asks of an idempotent producer
	p, err := sarama.NewSyncProducer([]string{addr}, c)
	if err != nil {
		return nil, err
	}
	return &Producer{topic, p}, nil
}

// Write produces a record and waits for its acknowledgement. The bytes have to stay as they are until then.
func (p *Producer) Write(key, value []byte) error {
	_, _, err := p.sync.SendMessage(&sarama.ProducerMessage{Topic: p.topic, Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(value)})
	return err
}

// Close ends the connections.
func (p *Producer) Close() error { return p.sync.Close() }
