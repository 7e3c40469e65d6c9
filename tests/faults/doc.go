// Package faults tests core/kafka against brokers that misbehave: an in-process Kafka-protocol broker (franz-go's kfake)
// with faults put in, TCP proxies that stop answering, and a real Kafka where the two differ.
package faults
