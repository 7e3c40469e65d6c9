package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// TestDocumentsRunAsPrinted types what the documents show, in the order in which they do, and holds what comes back to what they say.
func TestDocumentsRunAsPrinted(t *testing.T) {
	c := kafkatest.Shared(t)
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(top, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	policies, encodings := read("docs/policies.md"), read("docs/encodings.md")
	create := func(t *testing.T, names ...string) {
		t.Helper()
		for _, name := range names {
			c.CreateTopic(t, name, 1, map[string]string{"cleanup.policy": "compact"})
		}
	}
	// serveShown runs the daemon with a configuration as it is shown, beside files of the given names.
	serveShown := func(t *testing.T, config string, files map[string]string) *daemontest.Daemon {
		t.Helper()
		dir := t.TempDir()
		config = strings.NewReplacer("kafka:9092", c.Addr(), "/var/lib/kafka-cache", filepath.Join(dir, "data")).Replace(config)
		if !strings.Contains(config, "kafka-bootstrap:") {
			config = "kafka-bootstrap: " + c.Addr() + "\n" + config
		}
		files["kafka-cache.yaml"] = config
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d := daemontest.Start(t, "--config", filepath.Join(dir, "kafka-cache.yaml"), "--identity", kafkatest.RandomName(t))
		d.WaitReady()
		return d
	}
	withPolicies := func(t *testing.T, section string) *daemontest.Daemon {
		t.Helper()
		create(t, "users", "sessions", "users.invalid")
		return serveShown(t, shown(t, policies, "# What records mean", "yaml"), map[string]string{
			"users.jq":            shown(t, policies, section, "jq"),
			"user.schema.json":    read("core/sample/user.schema.json"),
			"session.schema.json": read("core/sample/session.schema.json"),
		})
	}

	const byEmail, members = "### Users by e-mail address", "### An organization's members"
	t.Run("by e-mail", func(t *testing.T) {
		typeShown(t, c, withPolicies(t, byEmail), shown(t, policies, byEmail, "console"))
	})
	t.Run("members", func(t *testing.T) {
		typeShown(t, c, withPolicies(t, members), shown(t, policies, members, "console"))
	})
	t.Run("three questions", func(t *testing.T) {
		typeShown(t, c, withPolicies(t, byEmail), shown(t, policies, "## Trying it", "console"))
	})
	t.Run("encodings", func(t *testing.T) {
		create(t, "devices")
		typeShown(t, c, serveShown(t, shown(t, encodings, "## Examples", "yaml"), map[string]string{}), shown(t, encodings, "## Examples", "console"))
	})
}

// shown is what the blocks of a language in a section say, one behind the other.
func shown(t *testing.T, page, heading, language string) string {
	t.Helper()
	_, section, found := strings.Cut("\n"+page, "\n"+heading+"\n")
	if next := regexp.MustCompile(`(?m)^##+ `).FindStringIndex(section); next != nil {
		section = section[:next[0]]
	}
	var all strings.Builder
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		all.WriteString(m[1])
	}
	if !found || all.Len() == 0 {
		t.Fatalf("no %s in the section %q", language, heading)
	}
	return all.String()
}

// typeShown runs the commands of a console, which begin with "$ ", and compares what each prints with the lines below it; "…" stands for anything. What
// another producer writes takes its time to be here: the command behind a kcat -P is typed until it says what is shown.
func typeShown(t *testing.T, c *kafkatest.Cluster, d *daemontest.Daemon, console string) {
	t.Helper()
	port := d.RESPAddr[strings.LastIndexByte(d.RESPAddr, ':')+1:]
	prelude := fmt.Sprintf("set -o pipefail\nredis-cli() { command redis-cli --no-raw -h 127.0.0.1 -p %s \"$@\"; }\n", port)
	here := strings.NewReplacer("kafka:9092", c.Addr(), "localhost:8080", d.AdminAddr)
	dir := t.TempDir()
	run := func(command string) string {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", prelude+here.Replace(command))
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%s\n%v", out, err)
		}
		return strings.TrimRight(string(out), "\n")
	}
	settling := false
	for _, step := range strings.Split("\n"+console, "\n$ ")[1:] {
		command, want, _ := strings.Cut(strings.TrimRight(step, "\n"), "\n")
		pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", "(?s:.*)")
		is := regexp.MustCompile("^" + pattern + "$")
		got := run(command)
		if settling && !is.MatchString(got) {
			d.Await(command+" prints\n"+want, func() bool { got = run(command); return is.MatchString(got) })
		}
		if !is.MatchString(got) {
			t.Errorf("$ %s\nprints\n%s\nshown is\n%s", command, got, want)
		}
		settling = strings.Contains(command, "kcat -P")
	}
}
