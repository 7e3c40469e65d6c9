package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

var javaVersionLine = regexp.MustCompile(`version "(\d+)(?:\.(\d+))?`)

// javaMajor reads the major version from what `java -version` prints: 17 for
// "17.0.15", 8 for "1.8.0_412".
func javaMajor(out []byte) (int, bool) {
	m := javaVersionLine.FindSubmatch(out)
	if m == nil {
		return 0, false
	}
	major, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return 0, false
	}
	if major == 1 && len(m[2]) > 0 {
		major, err = strconv.Atoi(string(m[2]))
	}
	return major, err == nil
}

// findJava finds a java binary that v runs on: KAFKATEST_JAVA, JAVA_HOME, the
// path, and the places where systems install Java.
func findJava(ctx context.Context, v version) (string, error) {
	var candidates []string
	if p := os.Getenv("KAFKATEST_JAVA"); p != "" {
		candidates = append(candidates, p)
	}
	if h := os.Getenv("JAVA_HOME"); h != "" {
		candidates = append(candidates, filepath.Join(h, "bin", "java"))
	}
	if p, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, p)
	}
	for _, pattern := range []string{"/usr/lib/jvm/*/bin/java", "/Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java"} {
		found, _ := filepath.Glob(pattern) // the pattern is valid
		sort.Strings(found)
		candidates = append(candidates, found...)
	}
	var seen []string
	for _, p := range candidates {
		major, err := askJava(ctx, p)
		switch {
		case err != nil:
			seen = append(seen, fmt.Sprintf("%s: %v", p, err))
		case major < v.minJava || v.maxJava != 0 && major > v.maxJava:
			seen = append(seen, fmt.Sprintf("%s is version %d", p, major))
		default:
			return p, nil
		}
	}
	want := fmt.Sprintf("Kafka %s needs Java %d or newer", v.name, v.minJava)
	if v.maxJava != 0 {
		want = fmt.Sprintf("Kafka %s needs Java %d to %d", v.name, v.minJava, v.maxJava)
	}
	if len(seen) == 0 {
		return "", errors.New(want + ", and no java was found")
	}
	return "", fmt.Errorf("%s (%s)", want, strings.Join(seen, "; "))
}

func askJava(ctx context.Context, path string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return 0, err
	}
	major, ok := javaMajor(out)
	if !ok {
		return 0, errors.New("prints no version")
	}
	return major, nil
}
