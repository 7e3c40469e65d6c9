package netns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// manifest is what the base gives its container, as far as a process shows it.
type manifest struct {
	Args []string
	Env  []struct {
		Name, Value string
		ValueFrom   struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
	SecurityContext struct {
		RunAsUser  int `yaml:"runAsUser"`
		RunAsGroup int `yaml:"runAsGroup"`
	} `yaml:"securityContext"`
}

// baseManifest reads the container and the configuration of deploy/base.
func baseManifest(t *testing.T) (m manifest, config string) {
	t.Helper()
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(top, "deploy", "base", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []manifest }
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read("deployment.yaml")), &deployment); err != nil {
		t.Fatal(err)
	}
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 || len(containers[0].Args) == 0 || len(containers[0].VolumeMounts) != 3 || containers[0].SecurityContext.RunAsUser == 0 {
		t.Fatalf("the Deployment's containers are %+v", containers)
	}
	return containers[0], read("kafka-cache.yaml")
}

// files are the volumes of one pod, below a directory that takes the root's place.
type files struct{ root string }

// mount makes the volumes: the configuration, the password as the Secret shows it (for the group alone), and an empty directory for data.
func (m manifest) mount(t *testing.T, config, password string) files {
	t.Helper()
	f := files{t.TempDir()}
	if err := os.Chmod(filepath.Dir(f.root), 0o755); err != nil { // the daemon is not root
		t.Fatal(err)
	}
	gid := m.SecurityContext.RunAsGroup
	for _, v := range m.VolumeMounts {
		dir := filepath.Join(f.root, v.MountPath)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write := func(name, text string, mode os.FileMode) {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, 0, gid); err != nil {
				t.Fatal(err)
			}
		}
		switch v.Name {
		case "config":
			write("kafka-cache.yaml", m.moved(f, config), 0o444)
		case "password":
			if password != "" {
				write("password", password, 0o440)
			}
		case "data":
			if err := os.Chown(dir, 0, gid); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, 0o770); err != nil { // fsGroup
				t.Fatal(err)
			}
		default:
			t.Fatalf("the volume %s is not known", v.Name)
		}
	}
	return f
}

// moved is a text with the volumes' paths below the directory that takes the root's place.
func (m manifest) moved(f files, text string) string {
	for _, v := range m.VolumeMounts {
		text = strings.ReplaceAll(text, v.MountPath+"/", filepath.Join(f.root, v.MountPath)+"/")
		text = strings.ReplaceAll(text, v.MountPath+"\n", filepath.Join(f.root, v.MountPath)+"\n")
	}
	return text
}

// environment is the pod's.
func (m manifest) environment(t *testing.T, podName string) (env []string) {
	t.Helper()
	for _, e := range m.Env {
		value := e.Value
		switch e.ValueFrom.FieldRef.FieldPath {
		case "":
		case "metadata.name":
			value = podName
		case "metadata.namespace":
			value = "users"
		default:
			t.Fatalf("%s comes from %s", e.Name, e.ValueFrom.FieldRef.FieldPath)
		}
		env = append(env, e.Name+"="+value)
	}
	return env
}
