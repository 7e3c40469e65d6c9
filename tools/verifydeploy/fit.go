package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// givenSecrets are made by whoever deploys: docs/deploy.md.
var givenSecrets = []string{"kafka-cache-password", "kafka-cache-kafka"}

// shutdown is shutdown-grace and shutdown-timeout of the configuration, in seconds.
const shutdown = 3 + 20

func podOf(o runtime.Object) *corev1.PodTemplateSpec {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	}
	return nil
}

// fit is what no object shows by itself: that selectors select, that ports and what pods refer to are there, and that times and sizes go together.
func fit(all []object) (wrong []error) {
	complain := func(o object, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%s: %w", o.name, fmt.Errorf(format, args...)))
	}
	var pods []*corev1.PodTemplateSpec
	names := map[string]bool{}
	for _, o := range all {
		names[o.name] = true
		if o.pod != nil {
			pods = append(pods, o.pod)
		}
	}
	selected := func(o object, selector labels.Selector, ports ...string) {
		found := 0
		for _, p := range pods {
			if !selector.Matches(labels.Set(p.Labels)) {
				continue
			}
			found++
			for _, port := range ports {
				if !hasPort(p, port) {
					complain(o, "the pods have no port %q", port)
				}
			}
		}
		if found == 0 || selector.Empty() {
			complain(o, "%q selects no pod", selector)
		}
	}
	for _, o := range all {
		switch v := o.versioned.(type) {
		case *corev1.Service:
			var ports []string
			for _, p := range v.Spec.Ports {
				ports = append(ports, p.TargetPort.String())
			}
			selected(o, labels.SelectorFromSet(v.Spec.Selector), ports...)
		case *policyv1.PodDisruptionBudget:
			selected(o, selectorOf(v.Spec.Selector))
		case *networkingv1.NetworkPolicy:
			var ports []string
			for _, in := range v.Spec.Ingress {
				for _, p := range in.Ports {
					ports = append(ports, p.Port.String())
				}
			}
			selected(o, selectorOf(&v.Spec.PodSelector), ports...)
		case *monitoring.PodMonitor:
			for _, e := range v.Spec.PodMetricsEndpoints {
				if e.Port == nil {
					complain(o, "an endpoint has no port")
					continue
				}
				selected(o, selectorOf(&v.Spec.Selector), *e.Port)
			}
		case *monitoring.PrometheusRule:
			if len(v.Spec.Groups) == 0 {
				complain(o, "has no groups")
			}
		case *appsv1.StatefulSet:
			if !names["Service/"+v.Spec.ServiceName] {
				complain(o, "its Service %s is not there", v.Spec.ServiceName)
			}
		}
		if o.pod != nil {
			for _, err := range fitPod(o, names) {
				complain(o, "%w", err)
			}
		}
	}
	return wrong
}

func selectorOf(s *metav1.LabelSelector) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil { // it has been validated
		return labels.Nothing()
	}
	return selector
}

// containers are all of a pod, with those that start before the others.
func containers(p *corev1.PodTemplateSpec) []corev1.Container {
	return slices.Concat(p.Spec.InitContainers, p.Spec.Containers)
}

func hasPort(p *corev1.PodTemplateSpec, name string) bool {
	return slices.ContainsFunc(containers(p), func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
			return p.Name == name || name == strconv.Itoa(int(p.ContainerPort))
		})
	})
}

// fitPod looks at what a pod refers to, and at the container of kafka-cache in it.
func fitPod(o object, names map[string]bool) (wrong []error) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	spec := &o.pod.Spec
	if spec.ServiceAccountName != "" && !names["ServiceAccount/"+spec.ServiceAccountName] {
		complain("its ServiceAccount %s is not there", spec.ServiceAccountName)
	}
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		complain("a token of the service account is mounted")
	}
	if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
		complain("variables of Services are taken for configuration: enableServiceLinks has to be false")
	}
	for _, v := range spec.Volumes {
		switch {
		case v.ConfigMap != nil && !names["ConfigMap/"+v.ConfigMap.Name]:
			complain("its ConfigMap %s is not there", v.ConfigMap.Name)
		case v.Secret != nil && !names["Secret/"+v.Secret.SecretName] && !slices.Contains(givenSecrets, v.Secret.SecretName):
			complain("its Secret %s is not there, and not among those that are given", v.Secret.SecretName)
		case v.EmptyDir != nil && v.EmptyDir.SizeLimit == nil:
			complain("the emptyDir %s has no size", v.Name)
		}
	}
	found := false
	for _, c := range containers(o.pod) {
		if c.Name == "kafka-cache" {
			found = true
			for _, err := range fitCache(spec, c) {
				complain("%w", err)
			}
		}
	}
	if !found {
		complain("has no container kafka-cache")
	}
	return wrong
}

func fitCache(spec *corev1.PodSpec, c corev1.Container) (wrong []error) {
	if c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil {
		wrong = append(wrong, errors.New("a probe is missing"))
	} else {
		for _, probe := range []struct {
			*corev1.Probe
			path string
		}{{c.LivenessProbe, "/livez"}, {c.ReadinessProbe, "/readyz"}} {
			if probe.HTTPGet == nil || probe.HTTPGet.Path != probe.path {
				wrong = append(wrong, fmt.Errorf("the probe that is to ask %s does not", probe.path))
			}
		}
	}
	grace := int64(shutdown)
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
		grace += c.Lifecycle.PreStop.Sleep.Seconds
	}
	if spec.TerminationGracePeriodSeconds == nil || *spec.TerminationGracePeriodSeconds <= grace {
		wrong = append(wrong, fmt.Errorf("it is killed before it has ended: terminationGracePeriodSeconds is to be more than %d", grace))
	}
	if !strings.Contains(c.Image, ":") || strings.HasSuffix(c.Image, ":latest") {
		wrong = append(wrong, fmt.Errorf("the image %s has no version", c.Image))
	}
	// The limit that the daemon warns of is the volume's.
	limit := ""
	for _, e := range c.Env {
		if e.Name == "KCACHE_DISK_LIMIT" {
			limit = e.Value
		}
	}
	for _, m := range c.VolumeMounts {
		for _, v := range spec.Volumes {
			if v.Name != m.Name || v.EmptyDir == nil || v.EmptyDir.SizeLimit == nil {
				continue
			}
			told, err := resource.ParseQuantity(limit)
			if err != nil || told.Cmp(*v.EmptyDir.SizeLimit) != 0 {
				wrong = append(wrong, fmt.Errorf("KCACHE_DISK_LIMIT is %q, and the volume %s has %s", limit, v.Name, v.EmptyDir.SizeLimit))
			}
			if storage := c.Resources.Limits.StorageEphemeral(); storage.Cmp(*v.EmptyDir.SizeLimit) < 0 {
				wrong = append(wrong, fmt.Errorf("the limit of ephemeral-storage, %s, is less than the volume's %s", storage, v.EmptyDir.SizeLimit))
			}
		}
	}
	return wrong
}
