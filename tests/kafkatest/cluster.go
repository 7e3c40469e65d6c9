package kafkatest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Cluster is a running Kafka. Its methods may be called from any goroutine.
type Cluster struct {
	Bootstrap []string  // host:port of each broker
	Brokers   []*Broker // nil for one that this package did not start
	Version   string    // of the brokers that this package started, and of the tools

	dir   string
	tools toolbox
	admin adminClient
}

// Options of a cluster. The zero value is one broker of the default version.
type Options struct {
	Version   string            // one of Versions, or a line of them such as "3.9"
	Brokers   int               // 1 to 3; 0 is 1
	Overrides map[string]string // broker settings, over those of this package
	JVM       []string          // replaces the JVM options of the brokers
	// Adjust, where it is set, changes the settings of one broker after all of the above: a listener behind a proxy, say.
	Adjust  func(id int, settings map[string]string)
	Private bool // never the cluster of KAFKATEST_BOOTSTRAP; implied by all of the above
}

// private tells whether the options ask for what a cluster that others share cannot give.
func (o Options) private() bool {
	return o.Private || o.Brokers > 1 || len(o.Overrides) > 0 || len(o.JVM) > 0 || o.Version != "" || o.Adjust != nil
}

// Start starts a cluster of the test's own, which ends with the test; its log is
// shown when the test failed.
func Start(tb testing.TB, o Options) *Cluster {
	tb.Helper()
	c, err := Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		c.Close()
		if tb.Failed() {
			for _, b := range c.Brokers {
				tb.Logf("broker %d printed last:\n%s", b.ID, b.Log())
			}
		}
	})
	return c
}

// Open starts a cluster for a caller without a testing.TB, who closes it. The
// brokers are ready when it returns.
//
// A cluster of one broker with default settings may be the one that
// KAFKATEST_BOOTSTRAP names; such a one has no Brokers.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	v, err := findVersion(o.Version)
	if err != nil {
		return nil, err
	}
	o.Brokers = cmp.Or(o.Brokers, 1)
	if o.Brokers < 1 || o.Brokers > 3 {
		return nil, fmt.Errorf("kafkatest: %d brokers (1 to 3)", o.Brokers)
	}
	external := os.Getenv("KAFKATEST_BOOTSTRAP")
	java, errJava := findJava(ctx, v)
	var h home
	var errHome error
	if errJava == nil {
		h, errHome = findHome(ctx, v)
	}
	if external != "" && !o.private() {
		c := &Cluster{Bootstrap: strings.Split(external, ","), Version: v.name}
		c.tools = toolbox{version: v, java: java, home: h, err: errors.Join(errJava, errHome)}
		return c, nil
	}
	if err := errors.Join(errJava, errHome); err != nil {
		return nil, noKafka(v, err)
	}
	c := &Cluster{Version: v.name, tools: toolbox{version: v, java: java, home: h}}
	for attempt := 1; ; attempt++ {
		err := c.start(ctx, o)
		if err == nil {
			return c, nil
		}
		c.Close()
		if attempt == 3 || !errors.Is(err, errPortTaken) {
			return nil, fmt.Errorf("kafkatest: start Kafka %s: %w", v.name, err)
		}
		c.Bootstrap, c.Brokers = nil, nil
	}
}

// Resolve gets the jars of a version (with the meaning of Options.Version) unless they are there.
func Resolve(ctx context.Context, version string) error {
	v, err := findVersion(version)
	if err != nil {
		return err
	}
	if _, err := findHome(ctx, v); err != nil {
		return noKafka(v, err)
	}
	return nil
}

func noKafka(v version, err error) error {
	return fmt.Errorf(`kafkatest: no Kafka %s to test against: %w
Give the tests one in any of these ways:
  - make setup, which installs Java 17 and Maven on Debian and resolves Kafka's jars;
  - install Java 17 or newer and Maven yourself (Debian: apt-get install openjdk-17-jre-headless maven;
    macOS: brew install openjdk@17 maven); the jars are then resolved on first use;
  - for the tests that can share a cluster, KAFKATEST_BOOTSTRAP=host:port of a running one, such as
    docker run -d -p 9092:9092 apache/kafka:%s   and   KAFKATEST_BOOTSTRAP=localhost:9092`, v.name, err, v.name)
}

// defaultJVM starts fast and stays small; a test that measures throughput brings its own.
var defaultJVM = []string{"-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"}

func (c *Cluster) start(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "kafkatest-")
	if err != nil {
		return err
	}
	c.dir = dir
	n := o.Brokers
	ports, err := freePorts(2 * n)
	if err != nil {
		return err
	}
	var voters []string
	for i := range n {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[n+i]))
	}
	classPath, err := c.tools.home.classPath()
	if err != nil {
		return err
	}
	jvm := o.JVM
	if jvm == nil {
		jvm = defaultJVM
	}
	clusterID := randomUUID()
	for i := range n {
		node := nodeSettings{id: i + 1, port: ports[i], controllerPort: ports[n+i], brokers: n, voters: strings.Join(voters, ",")}
		nodeDir := filepath.Join(dir, fmt.Sprintf("broker-%d", node.id))
		node.data = filepath.Join(nodeDir, "data")
		if err := c.tools.home.prepare(node, clusterID); err != nil {
			return err
		}
		settings := properties(node)
		maps.Copy(settings, o.Overrides)
		if o.Adjust != nil {
			o.Adjust(node.id, settings)
		}
		file := filepath.Join(nodeDir, "server.properties")
		if err := writeProperties(file, settings); err != nil {
			return err
		}
		args := append([]string{}, jvm...)
		args = append(args, simpleLogger("warn")...)
		args = append(args, "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info") // the one who says startedLine
		args = append(args, "-cp", classPath, "kafka.Kafka", file)
		b := &Broker{ID: node.id, Addr: fmt.Sprintf("127.0.0.1:%d", node.port), java: c.tools.java, args: args, dir: nodeDir, log: &tail{}}
		if err := b.Start(); err != nil {
			return err
		}
		c.Brokers = append(c.Brokers, b)
		c.Bootstrap = append(c.Bootstrap, b.Addr)
	}
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for _, b := range c.Brokers {
		if err := b.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare writes a node's data directory as `kafka-storage format` would.
func (h home) prepare(n nodeSettings, clusterID string) error {
	if err := os.MkdirAll(n.data, 0o755); err != nil {
		return err
	}
	meta := fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n", clusterID, n.id, randomUUID())
	if err := os.WriteFile(filepath.Join(n.data, "meta.properties"), []byte(meta), 0o644); err != nil {
		return err
	}
	features, err := os.ReadFile(h.bootstrapCheckpoint())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.data, "bootstrap.checkpoint"), features, 0o644)
}

// simpleLogger has everything that a JVM logs at level and above on standard error.
func simpleLogger(level string) []string {
	return []string{
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=" + level,
		"-Dorg.slf4j.simpleLogger.logFile=System.err",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
	}
}

// Addr is the bootstrap list as one string.
func (c *Cluster) Addr() string { return strings.Join(c.Bootstrap, ",") }

// Close ends the brokers at once and removes their data. Ending a cluster that
// this package did not start closes the connections to it.
func (c *Cluster) Close() {
	c.admin.close()
	for _, b := range c.Brokers {
		b.Kill()
	}
	if c.dir != "" {
		os.RemoveAll(c.dir)
	}
}
