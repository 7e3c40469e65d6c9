package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// streamsVersion is what java/pom.xml pins.
const streamsVersion = "4.1.1"

//go:embed java
var javaFiles embed.FS

// globalTable is a compiled Kafka Streams application with a GlobalKTable.
type globalTable struct {
	java, classPath string
	rocksDB         string // version
}

// buildGlobalTable resolves Kafka Streams' jars into build/bench of the tree at
// top, where they are kept, and compiles the application into dir.
func buildGlobalTable(ctx context.Context, top, dir string) (*globalTable, error) {
	src := filepath.Join(dir, "globaltable")
	sub, err := fs.Sub(javaFiles, "java")
	if err != nil {
		return nil, err
	}
	if err := os.CopyFS(src, sub); err != nil {
		return nil, err
	}
	libs := filepath.Join(top, "build", "bench", "kafka-streams-"+streamsVersion)
	if _, err := os.Stat(libs); errors.Is(err, fs.ErrNotExist) {
		tmp := fmt.Sprintf("%s.%d.tmp", libs, os.Getpid())
		defer os.RemoveAll(tmp)
		if err := command(ctx, "mvn", "-q", "-B", "-C", "-f", filepath.Join(src, "pom.xml"),
			"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+tmp); err != nil {
			return nil, fmt.Errorf("resolve Kafka Streams with Maven: %w", err)
		}
		if err := os.Rename(tmp, libs); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	classes := filepath.Join(src, "classes")
	g := &globalTable{java: "java", classPath: classes + ":" + filepath.Join(libs, "*")}
	javac := "javac"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		g.java, javac = filepath.Join(home, "bin", "java"), filepath.Join(home, "bin", "javac")
	}
	if err := command(ctx, javac, "-d", classes, "-cp", g.classPath, filepath.Join(src, "GlobalTable.java")); err != nil {
		return nil, fmt.Errorf("compile the GlobalKTable application (it needs a JDK; Debian: apt-get install openjdk-17-jdk-headless): %w", err)
	}
	jars, err := filepath.Glob(filepath.Join(libs, "rocksdbjni-*.jar"))
	if err != nil || len(jars) != 1 {
		return nil, fmt.Errorf("%d jars of RocksDB in %s: remove the directory to have it resolved again", len(jars), libs)
	}
	g.rocksDB = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(jars[0]), "rocksdbjni-"), ".jar")
	return g, nil
}

// command runs a program for its effect.
func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// startGlobalTable starts the application and returns once its table is
// restored, with the time from the start of the process until then.
func (b *bench) startGlobalTable(ctx context.Context, topic, stateDir string, entries int) (*server, time.Duration, error) {
	g := b.globalTable
	args := []string{
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", g.classPath, "GlobalTable", b.bootstrap(), topic, stateDir,
	}
	keys := min(entries, 100)
	for i := range keys {
		args = append(args, string(appendKey(nil, uint64(i)*uint64(entries)/uint64(keys))))
	}
	s, err := startServer("GlobalKTable", exec.Command(g.java, args...))
	if err != nil {
		return nil, 0, err
	}
	took, err := s.globalTableReady(ctx, keys)
	if err != nil {
		s.proc.Kill()
		return nil, 0, err
	}
	return s, took, nil
}

func (s *server) globalTableReady(ctx context.Context, keys int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	_, at, err := s.waitLine(ctx, func(l string) (string, bool) { return l, l == "READY" })
	if err != nil {
		return 0, err
	}
	found, _, err := s.waitLine(ctx, func(l string) (string, bool) { return strings.CutPrefix(l, "FOUND ") })
	if err != nil {
		return 0, err
	}
	if found != strconv.Itoa(keys) {
		return 0, s.error(fmt.Errorf("has %s of %d keys", found, keys))
	}
	return at.Sub(s.began), nil
}
