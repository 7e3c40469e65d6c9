package operations

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Where metrics are named: texts, in which their prefix tells them, and expressions, in which every name is one.
var (
	textsIn    = []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "deploy"}
	namedInOur = regexp.MustCompile(`\bkafka_cache_[a-z0-9_]*[a-z0-9]\b`)
	namedOther = regexp.MustCompile(`\b(?:process_(?:cpu|resident|virtual|start|open|max)_|go_(?:memstats|gc|goroutines|threads|info)_?)[a-z0-9_]*[a-z0-9]\b`)
	notMetrics = map[string]string{"kafka_cache_version": "a field of INFO"}
)

// TestNamedMetricsExist: whatever the documents, manifests, runbooks, rules and the dashboard call a metric is in the registry.
func TestNamedMetricsExist(t *testing.T) {
	r, _ := realRegistry(t)
	names := 0
	for _, root := range textsIn {
		err := filepath.WalkDir(inTree(t, root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i, line := range strings.Split(string(text), "\n") {
				for _, name := range append(namedInOur.FindAllString(line, -1), namedOther.FindAllString(line, -1)...) {
					names++
					if r.of(name) == nil && notMetrics[name] == "" {
						t.Errorf("%s:%d names %s, which the daemon does not have", path, i+1, name)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if names < 200 {
		t.Errorf("only %d names were found", names)
	}
}

// expression is one of PromQL, and where it is from.
type expression struct{ from, text string }

// expressions are all of the rules and of the dashboard.
func expressions(t *testing.T) (all []expression) {
	t.Helper()
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			all = append(all, expression{"alert " + r.Alert, r.Expr})
		}
	}
	var dashboard any
	if err := json.Unmarshal([]byte(read(t, "deploy", "grafana", "kafka-cache.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var walk func(v any, title string)
	walk = func(v any, title string) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e, title)
			}
		case map[string]any:
			if s, ok := v["title"].(string); ok {
				title = s
			}
			if s, ok := v["expr"].(string); ok {
				all = append(all, expression{"panel " + title, s})
			}
			if s, ok := v["definition"].(string); ok {
				inner := strings.TrimSuffix(strings.TrimPrefix(s, "label_values("), ")")
				all = append(all, expression{"a variable", inner[:strings.LastIndex(inner, ",")]})
			}
			for _, e := range v {
				walk(e, title)
			}
		}
	}
	walk(dashboard, "")
	if len(all) < 60 {
		t.Fatalf("only %d expressions", len(all))
	}
	return all
}

var (
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	grouping  = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	chosen    = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}`)
	matcher   = regexp.MustCompile(`([a-z_]+)(=~|!=|!~|=)("(?:[^"\\]|\\.)*")`)
	ranges    = regexp.MustCompile(`\[[^\]]*\]`)
	operand   = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\(?)`)
	keyword   = map[string]bool{"and": true, "or": true, "unless": true, "bool": true, "offset": true, "group_left": true, "group_right": true}
	scrapes   = map[string]bool{"up": true, "ALERTS": true} // Prometheus's own
	ofTargets = map[string]bool{"job": true, "instance": true, "namespace": true, "pod": true, "le": true, "alertname": true, "alertstate": true}
)

// selected are the metrics that an expression reads.
func selected(text string) (names []string) {
	text = quoted.ReplaceAllString(text, `""`)
	text = grouping.ReplaceAllString(text, "")
	text = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(text, "")
	text = ranges.ReplaceAllString(text, "")
	text = regexp.MustCompile(`\b(?:by|without|on|ignoring)\b`).ReplaceAllString(text, "")
	for _, m := range operand.FindAllStringSubmatch(text, -1) {
		if m[2] == "" && !keyword[m[1]] {
			names = append(names, m[1])
		}
	}
	return names
}

func TestSelected(t *testing.T) {
	for text, want := range map[string]string{
		`up == 0 and on (job, instance) last_over_time(kafka_cache_instance_info[1h])`:                              "up kafka_cache_instance_info",
		`max by (job) (increase(a_total{rule!="write", x="y_z"}[15m])) > 2 * 3600`:                                  "a_total",
		`count by (a) (count_values by (a) ("value", b)) > count by (a) (count_values by (a) ("value", c_d))`:       "b c_d",
		`sum without (x) (rate(d[5m])) / on (job, instance) group_left (v) e or vector(0)`:                          "d e",
		`histogram_quantile(0.99, sum by (command, le) (rate(f_bucket{job=~"$job"}[$__rate_interval]))) unless g{}`: "f_bucket g",
	} {
		if got := strings.Join(selected(text), " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestExpressionsAskForWhatThereIs: every metric that an alert or a panel reads is in the registry, has the labels that are chosen and grouped by, and the values that are
// chosen where these are written out.
func TestExpressionsAskForWhatThereIs(t *testing.T) {
	r, text := realRegistry(t)
	for _, e := range expressions(t) {
		names := selected(e.text)
		if len(names) == 0 {
			t.Errorf("%s reads no metric: %s", e.from, e.text)
		}
		has := map[string]bool{}
		for _, name := range names {
			m := r.of(name)
			if m == nil {
				if !scrapes[name] {
					t.Errorf("%s reads %s, which the daemon does not have", e.from, name)
				}
				continue
			}
			for _, l := range m.labels {
				has[l] = true
			}
		}
		for _, g := range grouping.FindAllStringSubmatch(e.text, -1) {
			for label := range strings.SplitSeq(g[1], ",") {
				if label = strings.TrimSpace(label); !has[label] && !ofTargets[label] {
					t.Errorf("%s groups by %s, which its metrics do not have: %s", e.from, label, e.text)
				}
			}
		}
		for _, c := range chosen.FindAllStringSubmatch(e.text, -1) {
			m := r.of(c[1])
			if m == nil {
				continue
			}
			for _, by := range matcher.FindAllStringSubmatch(c[2], -1) {
				label, value := by[1], strings.Trim(by[3], `"`)
				if ofTargets[label] {
					continue
				}
				if !strings.Contains(" "+strings.Join(m.labels, " ")+" ", " "+label+" ") {
					t.Errorf("%s chooses %s by %s, which it does not have", e.from, c[1], label)
				}
				if strings.Contains(value, "$") {
					continue
				}
				for v := range strings.SplitSeq(value, "|") {
					if !regexp.MustCompile(regexp.QuoteMeta(c[1]) + `\{[^}]*\b` + label + `="` + regexp.QuoteMeta(v) + `"`).MatchString(text) {
						t.Errorf("%s chooses %s by %s=%q, which there is not", e.from, c[1], label, v)
					}
				}
			}
		}
	}
}
