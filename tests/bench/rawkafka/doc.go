// Package rawkafka holds what the benchmarks do with sarama directly, without
// kafka-cache: the most that a cache built on the same client could reach.
package rawkafka
