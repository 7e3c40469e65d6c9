package kafkatest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// nodeSettings is what tells one node's settings from another's.
type nodeSettings struct {
	id, port, controllerPort, brokers int
	voters, data                      string
}

// properties are a node's settings: broker and controller in one process, on
// loopback, with every interval that a test would wait for cut to a fraction of
// a second.
func properties(n nodeSettings) map[string]string {
	replicas, inSync := min(n.brokers, 3), 1
	if n.brokers >= 3 {
		inSync = 2
	}
	rf, isr := fmt.Sprint(replicas), fmt.Sprint(inSync)
	return map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        fmt.Sprint(n.id),
		"controller.quorum.voters":       n.voters,
		"listeners":                      fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", n.port, n.controllerPort),
		"advertised.listeners":           fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", n.port),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"log.dirs":                       n.data,

		"num.partitions":                                   "1",
		"default.replication.factor":                       rf,
		"min.insync.replicas":                              isr,
		"auto.create.topics.enable":                        "false",
		"offsets.topic.num.partitions":                     "1",
		"offsets.topic.replication.factor":                 rf,
		"transaction.state.log.num.partitions":             "1",
		"transaction.state.log.replication.factor":         rf,
		"transaction.state.log.min.isr":                    isr,
		"share.coordinator.state.topic.num.partitions":     "1",
		"share.coordinator.state.topic.replication.factor": rf,
		"share.coordinator.state.topic.min.isr":            isr,

		"group.initial.rebalance.delay.ms":                            "0",
		"group.min.session.timeout.ms":                                "500",
		"offsets.retention.check.interval.ms":                         "1000",
		"log.cleaner.backoff.ms":                                      "100",
		"log.cleaner.threads":                                         "1",
		"log.cleaner.dedupe.buffer.size":                              "4194304",
		"log.initial.task.delay.ms":                                   "100",
		"log.retention.check.interval.ms":                             "500",
		"log.segment.delete.delay.ms":                                 "200",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
		"num.network.threads":                                         "2",
		"num.io.threads":                                              "2",
		"broker.heartbeat.interval.ms":                                "250",
		"broker.session.timeout.ms":                                   "1500",
		"replica.lag.time.max.ms":                                     "1500",
		"controller.quorum.election.timeout.ms":                       "500",
		"controller.quorum.fetch.timeout.ms":                          "1000",
	}
}

func writeProperties(path string, p map[string]string) error {
	var sb strings.Builder
	for _, k := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&sb, "%s=%s\n", k, p[k])
	}
	return os.WriteFile(path, []byte(sb.String()), 0o644)
}

// randomUUID is a random id in Kafka's form: 22 characters of unpadded URL-safe
// base64. The first bit is clear, since Kafka's tools refuse a leading '-'.
func randomUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(b[:])
}
