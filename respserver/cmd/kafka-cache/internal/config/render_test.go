package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// What config prints, given back as the file, is the same configuration.
func TestEffectiveRoundTrip(t *testing.T) {
	path := writeFile(t, "topics:\n  - name: \"null\"\n    read-only: false\n  - name: users\n    value-encoding: avro\n    start: timestamp:2026-01-02T15:04:05Z\n    read-only: false\n    repair-split-keys: true\ndata-dir: \"a b/#c: \\\"d\\\"\"\nresp-password-file: secret\nschema-registry: [\"http://r:8081\", https://s]\n")
	c := mustLoad(t, []string{"--config", path, "--kafka-bootstrap=a:1,b:2", "--memory-limit=2Gi", "--resp-idle-timeout=90s"},
		[]string{"KCACHE_LOG_FORMAT=json"})
	var b strings.Builder
	if err := c.WriteEffective(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# --kafka-bootstrap\n", "# KCACHE_LOG_FORMAT\n", "# " + path + ":9\n", "# default\n",
		"# POD_NAMESPACE and POD_NAME\n", "topics: # " + path + ":1\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	again := mustLoad(t, []string{"--config", writeFile(t, b.String())}, nil)
	c.File, again.File, c.sources, again.sources = "", "", nil, nil
	if !reflect.DeepEqual(c, again) {
		t.Errorf("%+v\nprinted as\n%s\nis %+v", c, b.String(), again)
	}
}

func TestEffectiveIsRedacted(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, []string{"--topic=t", "--resp-password-file", secret, "--kafka-sasl-mechanism=PLAIN", "--kafka-sasl-user=u",
		"--kafka-sasl-password-file", secret}, []string{"KCACHE_RESP_PASSWORD=hunter2"})
	oauth := mustLoad(t, []string{"--topic=t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-oauth-token-url=https://u", "--kafka-sasl-oauth-client-id=i",
		"--kafka-sasl-oauth-client-secret-file", secret}, nil)
	token := mustLoad(t, []string{"--topic=t", "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-token-file", secret}, nil)
	for _, tc := range []struct {
		c     *Config
		paths int
	}{{c, 2}, {oauth, 1}, {token, 1}} {
		var b strings.Builder
		if err := tc.c.WriteEffective(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "hunter2") || strings.Count(b.String(), secret) != tc.paths {
			t.Errorf("the effective configuration shows a secret, or not where it is from:\n%s", b.String())
		}
	}
}

func TestDevRoundTrip(t *testing.T) {
	c := mustLoad(t, []string{"--dev", "--read-only"}, nil)
	var b strings.Builder
	if err := c.WriteEffective(&b); err != nil {
		t.Fatal(err)
	}
	again := mustLoad(t, []string{"--config", writeFile(t, b.String())}, nil)
	if !reflect.DeepEqual(again.Topics, c.Topics) || again.RESPAddr != c.RESPAddr || !again.Dev {
		t.Errorf("%+v\nprinted as\n%s\nis %+v", c, b.String(), again)
	}
}

// Help and the reference page name every option, and every option is in a section that they show.
func TestHelpAndDocsAreComplete(t *testing.T) {
	var help, docs strings.Builder
	if err := WriteHelp(&help); err != nil {
		t.Fatal(err)
	}
	if err := WriteDocs(&docs); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for i := range options {
		o := &options[i]
		if names[o.name] {
			t.Errorf("%s stands twice in the table", o.name)
		}
		names[o.name] = true
		if strings.Count(help.String(), "  --"+o.name+"\n")+strings.Count(help.String(), "  --"+o.name+" ") != 1 ||
			!strings.Contains(help.String(), "["+o.env()+"]") {
			t.Errorf("help does not show %s once with %s", o.name, o.env())
		}
		if strings.Count(docs.String(), "| `"+o.env()+"` |") != 1 {
			t.Errorf("the reference page does not show %s once", o.env())
		}
		if !strings.HasSuffix(o.help, ".") {
			t.Errorf("the help of %s is not a sentence: %s", o.name, o.help)
		}
		if later[o.name] {
			t.Errorf("%s is both offered and refused", o.name)
		}
	}
	for line := range strings.Lines(help.String()) {
		if len([]rune(line)) > 120 {
			t.Errorf("a line of help is too long: %s", line)
		}
	}
}
