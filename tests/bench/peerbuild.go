package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Versions that java/kcache/pom.xml, npm/package.json and the module of goka pin.
const (
	kcacheVersion = "5.2.3"
	npmVersion    = "1.2.1"
	rdkafkaNode   = "3.6.1"
)

// peerNames are what -without can leave out.
var peerNames = []string{"globalktable", "goka", "kcache", "npm", "kcat"}

// peerPrograms start the candidates that are not ours. A nil one was left out.
type peerPrograms struct {
	goka     string // path
	kcache   []string
	npm      []string
	kcat     string
	versions []fact
}

// preparePeers gets every candidate that is not left out, and names all that cannot be got.
func (b *bench) preparePeers(ctx context.Context) error {
	var errs []error
	for _, p := range []struct {
		name string
		get  func(context.Context) error
	}{
		{"globalktable", b.getGlobalTable}, {"goka", b.getGoka}, {"kcache", b.getKCache}, {"npm", b.getNPM}, {"kcat", b.getKcat},
	} {
		if slices.Contains(b.without, p.name) {
			b.logf("%s is left out", p.name)
			continue
		}
		b.logf("getting %s", p.name)
		if err := p.get(ctx); err != nil {
			errs = append(errs, fmt.Errorf("the candidate %s cannot be got (-without %s leaves it out): %w", p.name, p.name, err))
		}
	}
	return errors.Join(errs...)
}

func (b *bench) getGlobalTable(ctx context.Context) error {
	if b.globalTable != nil {
		return nil
	}
	var err error
	b.globalTable, err = buildGlobalTable(ctx, b.top, b.dir)
	return err
}

// getGoka builds the same application that the conformance tests run, with the versions that its module pins.
func (b *bench) getGoka(ctx context.Context) error {
	module := filepath.Join(b.top, "tests", "conformance", "peers", "goka")
	binary := filepath.Join(b.dir, "goka")
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("go %s: %w\n%s", args[0], err, out)
		}
		return string(out), err
	}
	if _, err := run("build", "-trimpath", "-o", binary, "."); err != nil {
		return err
	}
	for _, m := range []string{"github.com/lovoo/goka", "github.com/syndtr/goleveldb"} {
		v, err := run("list", "-m", "-f", "{{.Version}}", m)
		if err != nil {
			return err
		}
		b.peers.versions = append(b.peers.versions, fact{m, strings.TrimSpace(v)})
	}
	b.peers.goka = binary
	return nil
}

// getKCache resolves kcache's jars into build/bench, where they are kept, and compiles the application.
func (b *bench) getKCache(ctx context.Context) error {
	src := filepath.Join(b.dir, "kcache")
	sub, err := fs.Sub(javaFiles, "java/kcache")
	if err != nil {
		return err
	}
	if err := os.CopyFS(src, sub); err != nil {
		return err
	}
	libs := filepath.Join(b.top, "build", "bench", "kcache-"+kcacheVersion)
	if err := kept(libs, func(tmp string) error {
		return command(ctx, "mvn", "-q", "-B", "-C", "-f", filepath.Join(src, "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+tmp)
	}); err != nil {
		return fmt.Errorf("resolve kcache with Maven: %w", err)
	}
	java, javac := "java", "javac"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java, javac = filepath.Join(home, "bin", "java"), filepath.Join(home, "bin", "javac")
	}
	classes := filepath.Join(src, "classes")
	classPath := classes + ":" + filepath.Join(libs, "*")
	if err := command(ctx, javac, "-d", classes, "-cp", classPath, filepath.Join(src, "KCache.java")); err != nil {
		return fmt.Errorf("compile the application (it needs a JDK; Debian: apt-get install openjdk-17-jdk-headless): %w", err)
	}
	b.peers.kcache = []string{java, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classPath, "KCache"}
	b.peers.versions = append(b.peers.versions, fact{"kcache", kcacheVersion})
	return nil
}

// getNPM installs the npm library kafka-cache and the Kafka client that it asks for into build/bench, where they are
// kept. The client is compiled, against the librdkafka and the headers of Node.js of the system.
func (b *bench) getNPM(ctx context.Context) error {
	dir := filepath.Join(b.top, "build", "bench", "npm-"+npmVersion+"-"+rdkafkaNode)
	if err := kept(dir, func(tmp string) error {
		sub, err := fs.Sub(npmFiles, "npm")
		if err != nil {
			return err
		}
		if err := os.CopyFS(tmp, sub); err != nil {
			return err
		}
		if err := command(ctx, "npm", "ci", "--prefix", tmp, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"); err != nil {
			return err
		}
		if err := command(ctx, "env", "BUILD_LIBRDKAFKA=0", "npm_config_nodedir=/usr", "npm", "rebuild", "--prefix", tmp, "--loglevel", "error", "node-rdkafka"); err != nil {
			return fmt.Errorf("compile node-rdkafka (Debian: apt-get install librdkafka-dev g++ make python3, and Node.js with its headers in /usr/include/node): %w", err)
		}
		return nil
	}); err != nil {
		return err
	}
	version, err := exec.CommandContext(ctx, "node", "-e", "process.chdir(process.argv[1]); console.log(require(process.argv[1] + '/node_modules/node-rdkafka').librdkafkaVersion, process.version)", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("load node-rdkafka (remove %s to have it installed again): %w\n%s", dir, err, version)
	}
	load, err := npmFiles.ReadFile("npm/load.js")
	if err != nil {
		return err
	}
	script := filepath.Join(dir, "load.js") // beside node_modules; of this tree, whatever the directory was made from
	if err := os.WriteFile(script, load, 0o644); err != nil {
		return err
	}
	lib, node, _ := strings.Cut(strings.TrimSpace(string(version)), " ")
	b.peers.npm = []string{"node", script}
	b.peers.versions = append(b.peers.versions, fact{"kafka-cache of npm", npmVersion + ", node-rdkafka " + rdkafkaNode + ", librdkafka " + lib + ", Node.js " + node})
	return nil
}

func (b *bench) getKcat(context.Context) error {
	path, err := exec.LookPath("kcat")
	if err != nil {
		return fmt.Errorf("%w (Debian: apt-get install kcat)", err)
	}
	b.peers.kcat = path
	version := strings.Fields(wordsAfter(output(path, "-V"), "Version "))
	if len(version) == 0 {
		return errors.New("kcat -V tells no version")
	}
	b.peers.versions = append(b.peers.versions, fact{"kcat", strings.Join(version, " ")})
	return nil
}

// kept makes a directory with fill, once: it is filled under another name and then renamed.
func kept(dir string, fill func(tmp string) error) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d.tmp", dir, os.Getpid())
	defer os.RemoveAll(tmp)
	if err := fill(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// wordsAfter is the rest of the line after prefix.
func wordsAfter(s, prefix string) string {
	_, rest, _ := strings.Cut(s, prefix)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}
