// Package integration tests kafka-cache as its users run it, as processes, on a
// real Apache Kafka. What the log holds is known from other implementations: Kafka's
// own command line tools and franz-go.
package integration
