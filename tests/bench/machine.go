package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
)

// fact is one line about the machine or about a version.
type fact struct{ name, value string }

// machineFacts say what a reader needs to judge the figures, and nothing that names the machine.
func machineFacts() []fact {
	cpu := "unknown"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	facts := []fact{{"CPU", fmt.Sprintf("%s, %d cores", cpu, runtime.NumCPU())}}
	if m, err := procFields("/proc/meminfo"); err == nil {
		facts = append(facts, fact{"memory", fmt.Sprintf("%.1f GiB", float64(m["MemTotal"])/(1<<30))})
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		facts = append(facts, fact{"kernel", "Linux " + strings.TrimSpace(string(b)) + ", " + runtime.GOARCH})
	}
	return append(facts, fact{"file system of the logs and stores", fileSystem(os.TempDir())})
}

func fileSystem(dir string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "unknown"
	}
	switch s.Type {
	case 0xef53:
		return "ext4"
	case 0x58465342:
		return "xfs"
	case 0x9123683e:
		return "btrfs"
	case 0x01021994:
		return "tmpfs"
	case 0x794c7630:
		return "overlay"
	case 0x2fc12fc1:
		return "zfs"
	}
	return fmt.Sprintf("type %#x", s.Type)
}

// revisionFact is the name of what is measured among the versions.
const revisionFact = "kafka-cache"

// versions of all that was compared.
func (b *bench) versions() []fact {
	facts := []fact{{revisionFact, b.revision()}, {"Go", runtime.Version()}}
	if info, err := buildinfo.ReadFile(b.daemon); err == nil {
		facts = append(facts, moduleVersions(info, "github.com/cockroachdb/pebble/v2", "github.com/IBM/sarama")...)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		facts = append(facts, moduleVersions(info, "github.com/twmb/franz-go")...)
	}
	facts = append(facts, fact{"Apache Kafka", b.kafka.Version})
	if b.wants("get") || b.wants("limits") {
		facts = append(facts, fact{"Redis", wordAfter(output("redis-server", "--version"), "v=")})
	}
	if b.globalTable != nil {
		facts = append(facts, fact{"Kafka Streams", streamsVersion}, fact{"RocksDB (rocksdbjni)", b.globalTable.rocksDB})
	}
	facts = append(facts, b.peers.versions...)
	first, _, _ := strings.Cut(output("java", "-version"), "\n")
	return append(facts, fact{"Java", first})
}

func moduleVersions(info *debug.BuildInfo, modules ...string) []fact {
	var facts []fact
	for _, m := range modules {
		for _, d := range info.Deps {
			if d.Path == m {
				facts = append(facts, fact{m, d.Version})
			}
		}
	}
	return facts
}

// revision is the commit that the tree is at, and whether it had changes to what the daemon is built from.
func (b *bench) revision() string {
	if b.daemonBinary != "" {
		return "a binary that was given: " + strings.TrimSpace(output(b.daemon, "version"))
	}
	git := func(args ...string) string {
		return strings.TrimSpace(output("git", append([]string{"-C", b.top}, args...)...))
	}
	r := git("rev-parse", "--short=12", "HEAD")
	if r == "" {
		return "unknown"
	}
	if git("status", "--porcelain", "--", "core", "respserver", "admin") != "" {
		r += " with changes that were not committed"
	}
	return r
}

// output is what a program prints, and "" when it fails: the report then lacks a version and no more.
func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(out), filepath.Clean(os.TempDir()), "$TMPDIR")
}

func wordAfter(s, prefix string) string {
	_, rest, _ := strings.Cut(s, prefix)
	word, _, _ := strings.Cut(rest, " ")
	return word
}
