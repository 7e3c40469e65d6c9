// Command kafka-cache serves Kafka topics over the Redis protocol.
//
//	kafka-cache serve --topic users --kafka-bootstrap kafka:9092
//	kafka-cache serve --dev
//
// See "kafka-cache serve --help" and docs/configuration.md.
package main
