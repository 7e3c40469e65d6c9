// Package kafkatest gives tests a real Apache Kafka.
//
// [Shared] is one single-broker cluster for all tests of a test binary (its
// TestMain must be os.Exit(kafkatest.Main(m))); [Start] is a cluster of a test's
// own, with one to three brokers that can be killed, paused and restarted.
//
// Where the brokers come from, in this order:
//
//  1. the cluster at KAFKATEST_BOOTSTRAP (host:port, comma-separated), for tests
//     that can share one. A container will do:
//     docker run -d -p 9092:9092 apache/kafka:4.1.1
//  2. Java (17 or newer) with Kafka's own jars under build/kafka/<version>,
//     resolved with Maven by a pinned pom when they are not there yet.
//
// Otherwise the test fails, and says what is missing and how to get it.
// Containers are not started by this package: pausing, killing and restarting
// brokers on the same port and data is its main use, and processes do that on
// every machine that can build the project.
//
// The version is [DefaultVersion] unless Options.Version or KAFKATEST_VERSION
// names another one of [Versions].
//
// Environment: KAFKATEST_BOOTSTRAP, KAFKATEST_VERSION, KAFKATEST_JAVA (a java
// binary to try first), KAFKATEST_DIR (where the jars are kept; the default is
// build/kafka at the top of the repository).
//
// Everything that looks at a cluster here goes through franz-go or through the
// command line tools that Kafka ships, apart from the code under test.
package kafkatest
