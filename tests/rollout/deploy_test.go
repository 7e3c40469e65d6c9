package rollout

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

// ending is how the base has pods end.
type ending struct {
	preStop, grace, timeout time.Duration
	deadline                time.Duration // the pod's own
	probe                   probe         // of readiness
}

// baseEnding reads deploy/base.
func baseEnding(t *testing.T) ending {
	t.Helper()
	top, err := daemontest.Top()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string, into any) {
		text, err := os.ReadFile(filepath.Join(top, "deploy", "base", name))
		if err == nil {
			err = yaml.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var config struct {
		Grace   time.Duration `yaml:"shutdown-grace"`
		Timeout time.Duration `yaml:"shutdown-timeout"`
	}
	read("kafka-cache.yaml", &config)
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct {
					Deadline   int `yaml:"terminationGracePeriodSeconds"`
					Containers []struct {
						ReadinessProbe struct {
							HTTPGet          struct{ Path string } `yaml:"httpGet"`
							PeriodSeconds    int                   `yaml:"periodSeconds"`
							FailureThreshold int                   `yaml:"failureThreshold"`
						} `yaml:"readinessProbe"`
						Lifecycle struct {
							PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
						}
					}
				}
			}
		}
	}
	read("deployment.yaml", &deployment)
	pod := deployment.Spec.Template.Spec
	c := pod.Containers[0]
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	e := ending{
		preStop: seconds(c.Lifecycle.PreStop.Sleep.Seconds), grace: config.Grace, timeout: config.Timeout, deadline: seconds(pod.Deadline),
		probe: probe{seconds(c.ReadinessProbe.PeriodSeconds), c.ReadinessProbe.FailureThreshold},
	}
	if e.preStop == 0 || e.grace == 0 || e.timeout == 0 || e.probe.period == 0 || e.probe.failures == 0 || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Fatalf("deploy/base has pods end as %+v", e)
	}
	if e.deadline <= e.preStop+e.grace+e.timeout {
		t.Errorf("terminationGracePeriodSeconds (%v) has to be more than preStop, shutdown-grace and shutdown-timeout together (%v, %v, %v)", e.deadline, e.preStop, e.grace, e.timeout)
	}
	return e
}
