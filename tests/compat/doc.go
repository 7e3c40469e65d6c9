// Package compat connects Redis clients of many languages, unchanged and with
// their defaults, to the daemon in front of a real Kafka, and writes the table of
// what works: docs/compatibility.md.
//
// A [Library] is tried by a probe, a small program in its own language under
// probes/, which is built with the library as its ordinary registry has it, in
// the versions of lock files that are in the tree. A probe takes its addresses
// from the environment and prints a line of JSON for each [Column] that it has
// tried. On the way it may ask for what a client cannot do to itself: a record
// from another producer, a restart of the daemon (see [Probe]).
//
// A [Tool] (redis-cli, redis-benchmark, and what only its frames are known of) is
// tried by checks of its own.
//
// Nothing passes by not being tried. A column that a probe says nothing of has
// failed, unless the library is known not to have it, with the reason in the
// table; a library that cannot be had is in the table too. Values all hold the
// word "truth", so that a test can put a liar between probe and daemon and see
// that the table goes red.
package compat
