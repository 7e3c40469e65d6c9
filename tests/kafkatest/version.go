package kafkatest

import (
	"cmp"
	"fmt"
	"os"
	"strings"
)

// DefaultVersion is the Apache Kafka that tests run against.
const DefaultVersion = "4.1.1"

// version is what differs from one Apache Kafka to another.
type version struct {
	name             string
	minJava, maxJava int // maxJava 0: no known limit
	consoleProducer  string
}

// Oldest supported first. Kafka 3.9 uses the security manager's API, which Java 24 removed.
var versions = []version{
	{name: "3.9.2", minJava: 17, maxJava: 23, consoleProducer: "kafka.tools.ConsoleProducer"},
	{name: "4.1.1", minJava: 17, consoleProducer: "org.apache.kafka.tools.ConsoleProducer"},
}

// Versions are the versions of Apache Kafka that this package can start, the
// oldest one that is supported first.
func Versions() []string {
	var s []string
	for _, v := range versions {
		s = append(s, v.name)
	}
	return s
}

// findVersion takes a full version ("4.1.1") or a line of versions ("3.9"); for
// the empty string KAFKATEST_VERSION, and the default where that is not set.
func findVersion(s string) (version, error) {
	s = cmp.Or(s, os.Getenv("KAFKATEST_VERSION"), DefaultVersion)
	for _, v := range versions {
		if v.name == s || strings.HasPrefix(v.name, s+".") {
			return v, nil
		}
	}
	return version{}, fmt.Errorf("kafkatest: unknown Kafka version %q (known: %s)", s, strings.Join(Versions(), ", "))
}
