package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// ruleFile is a file of Prometheus's rules, as far as they are used.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

var metricName = regexp.MustCompile(`kafka_cache_[a-z_]+`)

// TestAlertsAskForMetricsThatExist: every metric that a rule names is in the daemon's registry, with the labels that the rule chooses by.
func TestAlertsAskForMetricsThatExist(t *testing.T) {
	t.Parallel()
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(top, "deploy", "prometheus", "kafka-cache.rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var rules ruleFile
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	d := daemontest.Start(t, "--dev")
	d.WaitReady()
	_, metrics, err := d.Get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	selector := regexp.MustCompile(`(kafka_cache_[a-z_]+)\{([a-z_]+)="([a-z_]+)"\}`)
	alerts := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			alerts++
			names := metricName.FindAllString(r.Expr, -1)
			if r.Alert == "" || r.For == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || len(names) == 0 {
				t.Errorf("alert %+v is not complete", r)
			}
			for _, name := range names {
				if !strings.Contains(string(metrics), "# TYPE "+name+" ") {
					t.Errorf("alert %s asks for %s, which there is not", r.Alert, name)
				}
			}
			for _, m := range selector.FindAllStringSubmatch(r.Expr, -1) {
				if !regexp.MustCompile(m[1] + `\{[^}]*` + m[2] + `="` + m[3] + `"`).Match(metrics) {
					t.Errorf("alert %s chooses %s, which there is not", r.Alert, m[0])
				}
			}
		}
	}
	if alerts < 2 {
		t.Errorf("%d alerts", alerts)
	}
}
