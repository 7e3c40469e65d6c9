// Package conformance holds the situations in which caches of a Kafka log go wrong, each as a named scenario against
// real brokers: what is served is compared with what the log says, and what the instance says of itself with what
// has happened to it.
//
// A [Scenario] knows its subject through [Subject] and [Instance] alone, so that the same scenarios examine other
// programs than kafka-cache. What not every subject offers (writes, tokens, a status) is an interface of its own that an
// instance may have, and a [Capability] that a scenario may ask for.
//
// Scenarios are registered by the files that hold them, one file for each group of situations. TestConformance runs those for one
// broker; cmd/conformance runs all of them and writes the table.
package conformance
