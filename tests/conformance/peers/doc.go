// Package peers has adapters for other programs that keep a cache of a Kafka topic, so that the scenarios of package
// conformance run on them too. Each is a small application around the peer's own library (goka/ and globaltable/), run as a
// process and asked over HTTP on loopback. They read a topic and keep a directory; writes, tokens and a status they do not
// have.
//
// Importing the package registers them.
package peers
