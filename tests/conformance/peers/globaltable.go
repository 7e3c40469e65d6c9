package peers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yolean/kafka-cache/tests/conformance"
	"github.com/yolean/kafka-cache/tests/daemontest"
)

func init() {
	conformance.RegisterSubject("global-ktable", func() conformance.Subject { return &globalTable{} })
}

// globalTable is a GlobalKTable of Kafka Streams, with RocksDB.
type globalTable struct {
	dir             string
	java, classPath string
	version         string
}

func (g *globalTable) Name() string                         { return "global-ktable" }
func (g *globalTable) Version() string                      { return g.version }
func (g *globalTable) Offers(c conformance.Capability) bool { return offers(c) }
func (g *globalTable) Close() error                         { return os.RemoveAll(g.dir) }

var streamsVersion = regexp.MustCompile(`<artifactId>kafka-streams</artifactId><version>([^<]+)</version>`)

// Prepare compiles the application against the jars of the benchmark's, which are resolved with Maven when they are not there.
func (g *globalTable) Prepare(ctx context.Context) error {
	top, err := daemontest.Top()
	if err != nil {
		return err
	}
	if g.dir, err = os.MkdirTemp("", "conformance-globaltable-"); err != nil {
		return err
	}
	pomFile := filepath.Join(top, "tests", "bench", "java", "pom.xml")
	pom, err := os.ReadFile(pomFile)
	if err != nil {
		return err
	}
	version := streamsVersion.FindSubmatch(pom)
	if version == nil {
		return fmt.Errorf("%s does not say which Kafka Streams", pomFile)
	}
	libs := filepath.Join(top, "build", "bench", "kafka-streams-"+string(version[1]))
	if err := resolve(ctx, pomFile, libs); err != nil {
		return err
	}
	g.java = "java"
	javac := "javac"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		g.java, javac = filepath.Join(home, "bin", "java"), filepath.Join(home, "bin", "javac")
	}
	g.classPath = g.dir + ":" + filepath.Join(libs, "*")
	source := filepath.Join(top, "tests", "conformance", "peers", "globaltable", "GlobalTable.java")
	if out, err := exec.CommandContext(ctx, javac, "-d", g.dir, "-cp", g.classPath, source).CombinedOutput(); err != nil {
		return fmt.Errorf("compile the GlobalKTable application (it needs a JDK; Debian: apt-get install openjdk-17-jdk-headless): %w\n%s", err, out)
	}
	jars, err := filepath.Glob(filepath.Join(libs, "rocksdbjni-*.jar"))
	if err != nil || len(jars) != 1 {
		return fmt.Errorf("%d jars of RocksDB in %s: remove the directory to have it resolved again", len(jars), libs)
	}
	rocks := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "rocksdbjni-"), ".jar")
	g.version = fmt.Sprintf("Kafka Streams %s (RocksDB %s), GlobalKTable, read_committed", version[1], rocks)
	return nil
}

// resolve has Maven put the jars into libs, which is there once it is whole.
func resolve(ctx context.Context, pomFile, libs string) error {
	if _, err := os.Stat(libs); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp := fmt.Sprintf("%s.%d.tmp", libs, os.Getpid())
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "-C", "-f", pomFile,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+tmp)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("resolve Kafka Streams with Maven: %w\n%s", err, out)
	}
	return os.Rename(tmp, libs)
}

func (g *globalTable) Start(ctx context.Context, spec conformance.Spec) (conformance.Instance, error) {
	return start(ctx, spec, func(dir string) *exec.Cmd {
		return exec.Command(g.java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
			"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", g.classPath, "GlobalTable", spec.Bootstrap, spec.Topic, dir)
	})
}
