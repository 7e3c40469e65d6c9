// Package loadgen puts the sample model to instances as a load, over the Redis protocol, with a client library that
// services use.
//
// [Seed] writes the model once. [Load] drives a mix of operations on it, in an open loop (each operation has an intended
// start, from which its latency is measured, whatever the server does) or in a closed one. [Propagation] measures how long a
// write takes to be visible in each instance. Package verify compares instances with the log itself, package htmlreport
// draws what was measured.
package loadgen
