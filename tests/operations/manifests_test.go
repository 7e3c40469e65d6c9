package operations

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/certificates"
)

// container is what a manifest tells a process of kafka-cache.
type container struct {
	Name string
	Args []string
	Env  []struct{ Name, Value string }
}

// workload is as much of a manifest as a container is in.
type workload struct {
	Spec struct {
		Template struct {
			Spec struct {
				Containers     []container
				InitContainers []container `yaml:"initContainers"`
			}
		}
	}
}

// cacheOf is the container kafka-cache of a manifest, or of a patch of one.
func cacheOf(t *testing.T, path ...string) container {
	t.Helper()
	var w workload
	if err := yaml.Unmarshal([]byte(read(t, path...)), &w); err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Concat(w.Spec.Template.Spec.Containers, w.Spec.Template.Spec.InitContainers) {
		if c.Name == "kafka-cache" {
			return c
		}
	}
	t.Fatalf("%v has no container kafka-cache", path)
	return container{}
}

// composeService is what the compose file tells it.
func composeService(t *testing.T) (c container) {
	t.Helper()
	var file struct {
		Services map[string]struct {
			Command     yaml.Node
			Environment yaml.Node
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy", "compose", "compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	s := file.Services["kafka-cache"]
	var env map[string]string
	if err := s.Environment.Decode(&env); err != nil {
		t.Fatal(err)
	}
	if err := s.Command.Decode(&c.Args); err != nil {
		t.Fatal(err)
	}
	for name, value := range env {
		c.Env = append(c.Env, struct{ Name, Value string }{name, value})
	}
	return c
}

// TestManifestsConfigure has the daemon judge what the manifests tell it: every option is one, every variable is known, and the values say what they are to say.
func TestManifestsConfigure(t *testing.T) {
	base := cacheOf(t, "deploy", "base", "deployment.yaml")
	secured := base
	secured.Env = slices.Concat(base.Env, cacheOf(t, "deploy", "components", "kafka-tls", "patch.yaml").Env)
	for name, m := range map[string]struct {
		container container
		file      []string // that is mounted as its configuration
		want      []string // lines of what is in effect
	}{
		"base":    {base, []string{"deploy", "base", "kafka-cache.yaml"}, []string{"peers: dns:kafka-cache-headless:6379", "disk-limit: 2Gi", "read-only: true", "protected-mode: true"}},
		"TLS":     {secured, []string{"deploy", "base", "kafka-cache.yaml"}, []string{"kafka-bootstrap: kafka:9093", "kafka-tls: true", "kafka-sasl-mechanism: SCRAM-SHA-512", "kafka-sasl-user: kafka-cache"}},
		"sidecar": {cacheOf(t, "deploy", "components", "sidecar", "patch.yaml"), []string{"deploy", "overlays", "sidecar", "kafka-cache.yaml"}, []string{"resp-addr: 127.0.0.1:6379", "disk-limit: 2Gi"}},
		"compose": {composeService(t), nil, []string{"kafka-bootstrap: kafka:9092", "read-only: false", "identity: compose.kafka-cache"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put := func(path, text string) {
				if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			below := strings.NewReplacer("/run/", root+"/run/", "/etc/", root+"/etc/", "/var/", root+"/var/")
			authority, err := certificates.Write(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			ca, err := os.ReadFile(authority.CA)
			if err != nil {
				t.Fatal(err)
			}
			put("/run/secrets/kafka-cache/password", "secret\n")
			put("/run/kafka-cache/password", "secret\n") // compose's
			put("/run/secrets/kafka/password", "secret\n")
			put("/run/secrets/kafka/ca.crt", string(ca))
			if m.file != nil {
				put("/etc/kafka-cache/kafka-cache.yaml", below.Replace(read(t, m.file...)))
			}
			if len(m.container.Args) == 0 || m.container.Args[0] != "serve" {
				t.Fatalf("the arguments are %q", m.container.Args)
			}
			args := []string{"config"}
			for _, a := range m.container.Args[1:] {
				args = append(args, below.Replace(a))
			}
			cmd := exec.Command(daemontest.Binary(t), args...)
			cmd.Env = []string{"POD_NAME=cache-0", "POD_NAMESPACE=users"}
			for _, e := range m.container.Env {
				if strings.HasPrefix(e.Name, "KCACHE_") {
					cmd.Env = append(cmd.Env, e.Name+"="+below.Replace(e.Value))
				}
			}
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), "warning") {
				t.Fatalf("%v: %s", err, out)
			}
			for _, want := range m.want {
				if !strings.Contains(strings.ReplaceAll(string(out), `"`, ""), want) {
					t.Errorf("there is no %q in\n%s", want, out)
				}
			}
		})
	}
}
