package operations

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew from the running daemon")

const metricsHead = `# Metrics

<!-- Made from a running daemon by "go test ./tests/operations -run TestMetricsAreDocumented -update"; do not edit. -->

What ` + "`/metrics`" + ` of the admin address shows, in Prometheus's text format or OpenMetrics. Units are in the names, counters end in ` + "`_total`" + `, and no label names the pod: that is the scrape's to add.
A number that is not known yet is left out rather than said to be 0. Command durations are classic buckets and a native histogram. The [alerts](runbooks/README.md) and the [dashboard](../deploy/grafana/kafka-cache.json)
are made of these.
`

// sections of the document; what a metric's name begins with decides.
var sections = []struct {
	title    string
	prefixes []string
}{
	{"Memory and disk", []string{"kafka_cache_memory_", "kafka_cache_disk_", "kafka_cache_pebble_", "kafka_cache_resident_"}},
	{"Redis protocol and admin port", []string{"kafka_cache_admin_", "kafka_cache_resp_", "kafka_cache_command", "kafka_cache_key_", "kafka_cache_peer"}},
	{"The log and the topics", []string{"kafka_cache_"}},
	{"The process, Go and the scrape itself", []string{""}}, // client_golang's
}

func document(r registry) string {
	var b strings.Builder
	b.WriteString(metricsHead)
	left := maps.Clone(r)
	text := make([]string, len(sections))
	for i, s := range sections {
		var t strings.Builder
		fmt.Fprintf(&t, "\n## %s\n\n| metric | type | labels | |\n| --- | --- | --- | --- |\n", s.title)
		for _, name := range slices.Sorted(maps.Keys(left)) {
			if !slices.ContainsFunc(s.prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
				continue
			}
			m := left[name]
			labels := ""
			if len(m.labels) > 0 {
				labels = "`" + strings.Join(m.labels, "` `") + "`"
			}
			fmt.Fprintf(&t, "| `%s` | %s | %s | %s |\n", name, m.kind, labels, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(m.help))
			delete(left, name)
		}
		text[i] = t.String()
	}
	for _, i := range []int{2, 1, 0, 3} { // read in this order; chosen in the other
		b.WriteString(text[i])
	}
	return b.String()
}

// TestMetricsAreDocumented holds docs/metrics.md to the registry of a running daemon: every metric, its type, its labels and its help.
func TestMetricsAreDocumented(t *testing.T) {
	r, _ := realRegistry(t)
	for name, m := range r {
		if m.kind == "" || m.kind == "untyped" || strings.HasPrefix(name, "kafka_cache_") && len(m.help) < 5 {
			t.Errorf("%s: type %q, help %q", name, m.kind, m.help)
		}
		if (m.kind == "counter") != strings.HasSuffix(name, "_total") && strings.HasPrefix(name, "kafka_cache_") {
			t.Errorf("%s is a %s", name, m.kind)
		}
		if slices.ContainsFunc(m.labels, func(l string) bool { return l == "pod" || l == "instance" || l == "job" || l == "namespace" }) {
			t.Errorf("%s has a label that is the scrape's: %v", name, m.labels)
		}
	}
	want := document(r)
	if *update {
		if err := os.WriteFile(inTree(t, "docs", "metrics.md"), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, "docs", "metrics.md")
	if got == want {
		return
	}
	have, need := strings.Split(got, "\n"), strings.Split(want, "\n")
	for _, l := range have {
		if !slices.Contains(need, l) {
			t.Errorf("docs/metrics.md says, and the daemon does not: %s", l)
		}
	}
	for _, l := range need {
		if !slices.Contains(have, l) {
			t.Errorf("docs/metrics.md does not say: %s", l)
		}
	}
	t.Error("docs/metrics.md is out of date: go test ./tests/operations -run TestMetricsAreDocumented -update")
}

// What the sources declare, so that a metric which the daemon of these tests happens not to show is missed.
var declared = []*regexp.Regexp{
	regexp.MustCompile(`\b(?:desc|vec|gauge)\("([a-z_]+)"`),
	regexp.MustCompile(`\bName: +"([a-z_]+)"`),
	regexp.MustCompile(`^\t\t\{"(disk_[a-z_]+)", "`),
}

// TestRegistryHasWhatIsDeclared finds metrics in the sources and asks for them.
func TestRegistryHasWhatIsDeclared(t *testing.T) {
	r, _ := realRegistry(t)
	found := map[string]string{}
	for _, module := range []string{"core", "respserver", "admin"} {
		err := filepath.WalkDir(inTree(t, module), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(text), "client_golang/prometheus\"") {
				return err
			}
			for line := range strings.Lines(string(text)) {
				for _, e := range declared {
					for _, m := range e.FindAllStringSubmatch(line, -1) {
						found["kafka_cache_"+strings.TrimPrefix(m[1], "kafka_cache_")] = path
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range found {
		if r[name] == nil && !strings.HasPrefix(name, "kafka_cache_producer_") {
			t.Errorf("%s, which %s declares, is not in the registry", name, path)
		}
	}
	for name := range r {
		if strings.HasPrefix(name, "kafka_cache_") && found[name] == "" {
			t.Errorf("%s is in the registry and not found in the sources: has its declaration another form?", name)
		}
	}
}
