package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// probes is where the sources of probes are, below the top of the repository, and built where what is downloaded and built lies.
const (
	probes = "tests/compat/probes"
	built  = "build/compat"
)

// command runs a program that gets or builds something.
func command(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if len(out) > 2000 {
			out = append([]byte("[…] "), out[len(out)-2000:]...)
		}
		return fmt.Errorf("%s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// once makes a directory by a function that fills it, unless it is there. One that was not filled to the end is not there.
func once(dir string, fill func(tmp string) error) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	tmp := fmt.Sprintf("%s.%d.tmp", dir, os.Getpid())
	defer os.RemoveAll(tmp)
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return err
	}
	if err := fill(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// goProbe is the program of all Go libraries, whose versions are in tests/go.mod.
func goProbe(library string) func(context.Context, string) (Probe, error) {
	return func(ctx context.Context, top string) (Probe, error) {
		binary := filepath.Join(top, built, "go", "probe")
		err := command(ctx, filepath.Join(top, "tests"), "go", "build", "-o", binary, "./compat/probes/go")
		return Probe{Command: []string{binary, library}}, err
	}
}

var redisVersion = regexp.MustCompile(`(?m)^redis==([0-9.]+)`)

// pythonProbe is redis-py of one major version, with what it needs, as its requirements with their hashes have it. One that make setup has got is used.
func pythonProbe(major string) func(context.Context, string) (Probe, error) {
	return func(ctx context.Context, top string) (Probe, error) {
		requirements := filepath.Join(top, probes, "python", "redis-"+major+".txt")
		text, err := os.ReadFile(requirements)
		if err != nil {
			return Probe{}, err
		}
		m := redisVersion.FindSubmatch(text)
		if m == nil {
			return Probe{}, fmt.Errorf("%s names no version of redis", requirements)
		}
		python := filepath.Join(top, "build", "python", "bin", "python")
		if _, err := os.Stat(python); err != nil {
			return Probe{}, fmt.Errorf("%w: make setup makes it", err)
		}
		name := "redis-" + string(m[1])
		target := filepath.Join(top, "build", "python", name)
		if _, err := os.Stat(target); err != nil {
			target = filepath.Join(top, built, "python", name)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return Probe{}, err
			}
			if err := once(target, func(tmp string) error {
				return command(ctx, top, python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps", "--require-hashes", "--target", tmp, "-r", requirements)
			}); err != nil {
				return Probe{}, err
			}
		}
		return Probe{
			Command: []string{python, "-u", filepath.Join(top, probes, "python", "probe.py")},
			Env:     []string{"PYTHONPATH=" + target, "PYTHONDONTWRITEBYTECODE=1"},
		}, nil
	}
}

// nodeProbe is a package of probes/node, which has several versions of some under names of its own, as the lock file has them.
func nodeProbe(name string, env ...string) func(context.Context, string) (Probe, error) {
	return func(ctx context.Context, top string) (Probe, error) {
		source, dir := filepath.Join(top, probes, "node"), filepath.Join(top, built, "node")
		want, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
		if err != nil {
			return Probe{}, err
		}
		if have, err := os.ReadFile(filepath.Join(dir, "package-lock.json")); err != nil || !bytes.Equal(have, want) {
			if err := os.RemoveAll(dir); err != nil {
				return Probe{}, err
			}
		}
		if err := once(dir, func(tmp string) error {
			for _, f := range []string{"package.json", "package-lock.json"} {
				text, err := os.ReadFile(filepath.Join(source, f))
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(tmp, f), text, 0o600); err != nil {
					return err
				}
			}
			return command(ctx, top, "npm", "ci", "--prefix", tmp, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")
		}); err != nil {
			return Probe{}, err
		}
		program := "noderedis.js"
		if strings.HasPrefix(name, "io") {
			program = "ioredis.js"
		}
		return Probe{Command: []string{"node", filepath.Join(source, program), name}, Env: append(env, "COMPAT_MODULES="+filepath.Join(dir, "node_modules"))}, nil
	}
}

// javaProbe is the library that the pom in probes/java/NAME pins, with what it needs.
func javaProbe(name, class string) func(context.Context, string) (Probe, error) {
	return func(ctx context.Context, top string) (Probe, error) {
		source := filepath.Join(top, probes, "java")
		pom, err := os.ReadFile(filepath.Join(source, name, "pom.xml"))
		if err != nil {
			return Probe{}, err
		}
		m := regexp.MustCompile(`<dependency>.*<version>(.*)</version></dependency>`).FindSubmatch(pom)
		if m == nil {
			return Probe{}, fmt.Errorf("the pom of %s names no version", name)
		}
		jars := filepath.Join(top, built, "java", name+"-"+string(m[1]))
		if err := os.MkdirAll(filepath.Dir(jars), 0o755); err != nil {
			return Probe{}, err
		}
		if err := once(jars, func(tmp string) error {
			return command(ctx, top, "mvn", "-q", "-B", "-C", "-f", filepath.Join(source, name, "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+tmp)
		}); err != nil {
			return Probe{}, err
		}
		java, javac := "java", "javac"
		if home := os.Getenv("JAVA_HOME"); home != "" {
			java, javac = filepath.Join(home, "bin", "java"), filepath.Join(home, "bin", "javac")
		}
		classes := filepath.Join(top, built, "java", name+"-classes")
		path := filepath.Join(jars, "*")
		compile := []string{javac, "-nowarn", "-d", classes, "-cp", path, "Conversation.java", class + ".java"}
		own, err := filepath.Glob(filepath.Join(source, name, "*.java")) // what differs between versions
		if err != nil {
			return Probe{}, err
		}
		if err := command(ctx, source, append(compile, own...)...); err != nil {
			return Probe{}, fmt.Errorf("%w (a JDK is needed, of version 17 or newer)", err)
		}
		return Probe{Command: []string{java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes + ":" + path, class}, Env: []string{"COMPAT_VERSION=" + string(m[1])}}, nil
	}
}

// rustProbe is the program of both of redis-rs's clients, as Cargo.lock has them.
func rustProbe(client string) func(context.Context, string) (Probe, error) {
	return func(ctx context.Context, top string) (Probe, error) {
		target := filepath.Join(top, built, "rust")
		err := command(ctx, filepath.Join(top, probes, "rust"), "cargo", "build", "-q", "--locked", "--target-dir", target)
		return Probe{Command: []string{filepath.Join(target, "debug", "compat"), client}}, err
	}
}
