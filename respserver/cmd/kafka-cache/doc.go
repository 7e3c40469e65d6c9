// Command kafka-cache serves Kafka topics over the Redis protocol.
//
//	kafka-cache serve --topic users --kafka-bootstrap kafka:9092
//	kafka-cache serve --dev
//
// See "kafka-cache serve --help" and docs/configuration.md.
package main

//go:generate sh -c "go run . docs > ../../../docs/configuration.md && go run . docs schema > ../../../docs/kafka-cache.schema.json"
