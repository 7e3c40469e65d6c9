// Command bench compares kafka-cache with what users would reach for instead,
// in one run on one machine, and writes what it measured as docs/benchmarks.md.
//
// It starts everything that it compares (a real Apache Kafka, kafka-cache,
// redis-server, a Kafka Streams application with a GlobalKTable, plain
// consumers and producers) on free ports on loopback, and ends all of it.
//
// Every figure is measured in several rounds, in each of which all candidates
// take their turn, first in one order and then in the other, so that what the
// machine does meanwhile does not favour one of them. Ratios are made within a
// round. The median, the minimum and the maximum of the rounds are shown.
//
// The program starts itself again for what must be a process of its own: the
// load generators and the plain Kafka clients (see workers).
//
// Linux only: it reads /proc and its load generator waits with epoll.
package main
