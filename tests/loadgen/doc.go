// Package loadgen tries the program loadgen with real daemons and a real Kafka.
package loadgen
