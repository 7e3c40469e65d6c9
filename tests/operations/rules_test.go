package operations

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ruleFile is a file of Prometheus's rules.
type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			KeepFiringFor       string `yaml:"keep_firing_for"`
			Labels, Annotations map[string]string
		}
	}
}

const (
	rulesFile = "kafka-cache.rules.yaml"
	testsFile = "kafka-cache.rules.test.yaml"
	runbooks  = "https://github.com/yolean/kafka-cache/blob/main/docs/runbooks/"
)

func strict(t *testing.T, text string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func rules(t *testing.T) (f ruleFile) {
	t.Helper()
	strict(t, read(t, "deploy", "prometheus", rulesFile), &f)
	return f
}

// promtool runs Prometheus's own tool, which make setup builds.
func promtool(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	tool := inTree(t, "build", "tools", "promtool")
	if _, err := os.Stat(tool); err != nil {
		t.Fatalf("there is no %s: make setup builds it", tool)
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	return string(out), err
}

// TestRulesFireAndClear has promtool check the rules and run their tests.
func TestRulesFireAndClear(t *testing.T) {
	if out, err := promtool(t, "check", "rules", "--lint=all", "--lint-fatal", inTree(t, "deploy", "prometheus", rulesFile)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := promtool(t, "test", "rules", inTree(t, "deploy", "prometheus", testsFile)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRulesAreTested breaks each alert, so that it never fires or always does, and wants the rules' tests to fail.
func TestRulesAreTested(t *testing.T) {
	text, tests := read(t, "deploy", "prometheus", rulesFile), read(t, "deploy", "prometheus", testsFile)
	expr := regexp.MustCompile(`(?m)^        expr: .*(\n          .*)*$`)
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			for what, broken := range map[string]string{"never fires": "vector(0) > 1", "always fires": "vector(1)"} {
				t.Run(r.Alert+" "+what, func(t *testing.T) {
					t.Parallel()
					begin := strings.Index(text, "- alert: "+r.Alert+"\n")
					at := expr.FindStringIndex(text[begin:])
					dir := t.TempDir()
					changed := text[:begin+at[0]] + "        expr: " + broken + text[begin+at[1]:]
					for name, content := range map[string]string{rulesFile: changed, testsFile: tests} {
						if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
							t.Fatal(err)
						}
					}
					out, err := promtool(t, "test", "rules", "--run", "^"+r.Alert+":", filepath.Join(dir, testsFile))
					if err == nil || !strings.Contains(out, r.Alert) {
						t.Errorf("its test passes: %v\n%s", err, out)
					}
				})
			}
		}
	}
}

// TestAlertsHaveRunbooks: each alert says what a pager needs and links to its runbook, and there is no runbook without its alert.
func TestAlertsHaveRunbooks(t *testing.T) {
	alerts := map[string]bool{}
	index := read(t, "docs", "runbooks", "README.md")
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			alerts[r.Alert] = true
			if r.Alert == "" || r.For == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("alert %+v is not complete", r)
			}
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("alert %s has the severity %q", r.Alert, s)
			}
			if r.Annotations["runbook_url"] != runbooks+r.Alert+".md" {
				t.Errorf("alert %s links to %q", r.Alert, r.Annotations["runbook_url"])
			}
			if row := "| [" + r.Alert + "](" + r.Alert + ".md) | " + r.Labels["severity"] + " |"; !strings.Contains(index, row) {
				t.Errorf("docs/runbooks/README.md has no %q", row)
			}
			text := read(t, "docs", "runbooks", r.Alert+".md")
			for _, section := range []string{"# " + r.Alert + "\n", "\n## What it means\n", "\n## Find the cause\n", "\n## What to do\n", "\n## It clears when\n"} {
				if !strings.Contains(text, section) {
					t.Errorf("the runbook of %s has no %q", r.Alert, section)
				}
			}
		}
	}
	files, err := filepath.Glob(inTree(t, "docs", "runbooks", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".md"); name != "README" && !alerts[name] {
			t.Errorf("%s is of no alert", f)
		}
	}
}

// TestLinksOfRunbooks: what runbooks link to is there.
func TestLinksOfRunbooks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	files, err := filepath.Glob(inTree(t, "docs", "runbooks", "*.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", f, m[1], err)
			}
		}
	}
}

// TestPrometheusRuleIsTheRules: the manifest has the groups of the file.
func TestPrometheusRuleIsTheRules(t *testing.T) {
	var manifest struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
		Spec       ruleFile
	}
	strict(t, read(t, "deploy", "base", "prometheusrule.yaml"), &manifest)
	want, err := yaml.Marshal(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := yaml.Marshal(manifest.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) || manifest.Kind != "PrometheusRule" {
		t.Error("deploy/base/prometheusrule.yaml is not what make generate makes of deploy/prometheus/" + rulesFile)
	}
}

// TestPanelsAreValid has Prometheus parse what the dashboard asks, with Grafana's variables replaced.
func TestPanelsAreValid(t *testing.T) {
	variables := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*", "$topic", ".*")
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var all []rule
	for _, e := range expressions(t) {
		text := variables.Replace(e.text)
		if strings.Contains(text, "$") {
			t.Errorf("%s has a variable that is not known: %s", e.from, e.text)
		}
		all = append(all, rule{"panel", text})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": all}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "panels.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "check", "rules", "--lint=none", file); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
