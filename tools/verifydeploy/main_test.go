package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// in builds a kustomization of the repository, with one text of its files replaced.
func in(t *testing.T, dir, file, old, replacement string) ([][]byte, error) {
	t.Helper()
	return build(tree(t, file, old, replacement), "/deploy/"+dir)
}

// tree is a copy of what is under deploy, with one text of its files replaced.
func tree(t *testing.T, file, old, replacement string) filesys.FileSystem {
	t.Helper()
	files := filesys.MakeFsInMemory()
	top := filepath.Join("..", "..", "deploy")
	replaced := false
	err := filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if name == file {
			if n := strings.Count(string(text), old); n != 1 {
				t.Fatalf("%q is %d times in %s", old, n, file)
			}
			text, replaced = []byte(strings.Replace(string(text), old, replacement, 1)), true
		}
		return files.WriteFile("/deploy/"+name, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	if file != "" && !replaced {
		t.Fatalf("there is no %s", file)
	}
	return files
}

// TestMistakesAreFound makes mistakes in the manifests, one at a time, and wants each to be found and named.
func TestMistakesAreFound(t *testing.T) {
	const base, deployment = "base", "base/deployment.yaml"
	for _, m := range []struct{ what, dir, file, old, replacement, found string }{
		{"an unknown field", base, deployment, "revisionHistoryLimit: 3", "revisionHistory: 3", `unknown field "spec.revisionHistory"`},
		{"a field twice", base, deployment, "  replicas: 2\n", "  replicas: 2\n  replicas: 3\n", `already`},
		{"a bad quantity", base, deployment, "cpu: 250m", "cpu: 250x", "quantities must match"},
		{"more than the limit", base, deployment, "            requests:\n              cpu: 250m\n              memory: 1Gi", "            requests:\n              cpu: 250m\n              memory: 2Gi", "must be less than or equal to memory limit"},
		{"a port that is not there", base, deployment, "            - name: resp\n", "            - name: redis\n", `the pods have no port "resp"`},
		{"a bad field path", base, deployment, "fieldPath: metadata.namespace", "fieldPath: metadata.namespaces", "error converting fieldPath"},
		{"a mount of nothing", base, deployment, "            - name: data\n              mountPath", "            - name: date\n              mountPath", "Not found"},
		{"both of a rolling update 0", base, deployment, "maxSurge: 1", "maxSurge: 0", "may not be 0"},
		{"root", base, deployment, "runAsNonRoot: true\n        runAsUser: 65532", "runAsNonRoot: false\n        runAsUser: 0", "pod security"},
		{"capabilities", base, deployment, "drop: [ALL]", "drop: [NET_RAW]", "pod security"},
		{"no seccomp", base, deployment, "type: RuntimeDefault", "type: Unconfined", "pod security"},
		{"a host path", base, deployment, "          emptyDir:\n            sizeLimit: 2Gi", "          hostPath:\n            path: /data #", "pod security"},
		{"an emptyDir without a size", base, deployment, "          emptyDir:\n            sizeLimit: 2Gi", "          emptyDir: {} #", "has no size"},
		{"another size than the daemon knows", base, deployment, "sizeLimit: 2Gi", "sizeLimit: 1Gi", "KCACHE_DISK_LIMIT"},
		{"a token", base, deployment, "automountServiceAccountToken: false", "automountServiceAccountToken: true", "a token"},
		{"service links", base, deployment, "enableServiceLinks: false", "enableServiceLinks: true", "enableServiceLinks"},
		{"too little time to end", base, deployment, "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 28", "killed before it has ended"},
		{"liveness that waits for the load", base, deployment, "          livenessProbe: # never asks Kafka, and does not wait for the load\n            httpGet: {path: /livez", "          livenessProbe:\n            httpGet: {path: /readyz", "the probe that is to ask /livez does not"},
		{"no version of the image", base, "base/kustomization.yaml", "newTag: v0.1.0", "newTag: latest", "has no version"},
		{"a Secret that nobody makes", base, deployment, "secretName: kafka-cache-password", "secretName: kafka-cache-passwords", "not among those that are given"},
		{"a ConfigMap that is not there", base, deployment, "          configMap:\n            name: kafka-cache", "          configMap:\n            name: kafka-cash", "its ConfigMap kafka-cash is not there"},
		{"a Service that selects nothing", base, "base/services.yaml", "  clusterIP: None\n  publishNotReadyAddresses: true\n  selector:\n    app.kubernetes.io/component: cache", "  clusterIP: None\n  publishNotReadyAddresses: true\n  selector:\n    app.kubernetes.io/component: cash", "selects no pod"},
		{"a budget of both kinds", base, "base/poddisruptionbudget.yaml", "  maxUnavailable: 1", "  minAvailable: 1\n  maxUnavailable: 1", "cannot be both set"},
		{"a policy with a bad port", base, "base/networkpolicy.yaml", "- port: 9093", "- port: 99999", "must be between 1 and 65535"},
		{"an unknown field of the PodMonitor", base, "base/podmonitor.yaml", "interval: 15s", "intervall: 15s", `unknown field`},
		{"a PodMonitor of nothing", base, "base/podmonitor.yaml", "app.kubernetes.io/component: cache", "app.kubernetes.io/component: cash", "selects no pod"},
		{"an unknown field of the rules", base, "base/prometheusrule.yaml", "keep_firing_for: 1h", "keepFiringFor: 1h", "unknown field"},
		{"a headless Service of another name", "overlays/statefulset", "overlays/statefulset/kustomization.yaml", "value: kafka-cache-headless", "value: kafka-cache-heedless", "its Service kafka-cache-heedless is not there"},
		{"a bad access mode", "overlays/statefulset", "overlays/statefulset/kustomization.yaml", "ReadWriteOncePod", "ReadWriteOne", "supported values"},
		{"a Secret of the component that nobody makes", "overlays/kafka-tls", "components/kafka-tls/patch.yaml", "secretName: kafka-cache-kafka", "secretName: kafka", "not among those that are given"},
		{"a sidecar that ends before the others start", "overlays/sidecar", "components/sidecar/patch.yaml", "          restartPolicy: Always # which makes it a sidecar\n", "", "may not be set for init containers"},
		{"a sidecar of no Deployment", "overlays/sidecar", "overlays/sidecar/app.yaml", `    kafka-cache/sidecar: "true"`, `    kafka-cache/sidecar: "yes"`, "selects no pod"},
	} {
		t.Run(m.what, func(t *testing.T) {
			documents, err := in(t, m.dir, m.file, m.old, m.replacement)
			all := joined(err)
			if err == nil {
				all = validate(t.Context(), documents)
			}
			var b strings.Builder
			for _, err := range all {
				b.WriteString(err.Error() + "\n")
			}
			if !strings.Contains(b.String(), m.found) {
				t.Errorf("found\n%swhich does not have %q", &b, m.found)
			}
		})
	}
}

// TestDocumentedKustomizations builds what docs/deploy.md tells users to write.
func TestDocumentedKustomizations(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 || !strings.HasPrefix(blocks[0][1], "# kustomization.yaml\n") || !strings.HasPrefix(blocks[1][1], "patches:\n") {
		t.Fatalf("docs/deploy.md has %d blocks of YAML: %q", len(blocks), blocks)
	}
	const remote = "github.com/yolean/kafka-cache/deploy/base?ref=main"
	if !strings.Contains(blocks[0][1], remote) {
		t.Fatalf("the base is not %s", remote)
	}
	own := strings.Replace(blocks[0][1], remote, "../deploy/base", 1)
	for name, kustomization := range map[string]string{"own": own, "without the operator": own + blocks[1][1]} {
		files := tree(t, "", "", "")
		for file, text := range map[string]string{"kustomization.yaml": kustomization, "kafka-cache.yaml": "version: 1\ntopics: [{name: orders}]\n", "password": "secret\n"} {
			if err := files.WriteFile("/own/"+file, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		documents, err := build(files, "/own")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, err := range validate(t.Context(), documents) {
			t.Errorf("%s: %v", name, err)
		}
		all := stream(documents)
		if operator := strings.Contains(all, "monitoring.coreos.com"); operator != (name == "own") {
			t.Errorf("%s: objects of the operator are there: %v", name, operator)
		}
		for _, want := range []string{"namespace: users", "image: registry.example.com/kafka-cache:v0.1.0", "topics: [{name: orders}]"} {
			if !strings.Contains(all, want) {
				t.Errorf("%s: there is no %s", name, want)
			}
		}
		if strings.Contains(all, "secretName: kafka-cache-password\n") || !regexp.MustCompile(`secretName: kafka-cache-password-\w+\n`).MatchString(all) {
			t.Errorf("%s: the pods do not take the Secret that is made", name)
		}
	}
}

// TestManifestsAreValid is what the mistakes are made in.
func TestManifestsAreValid(t *testing.T) {
	for _, dir := range []string{"base", "overlays/statefulset", "overlays/kafka-tls", "overlays/sidecar", "grafana"} {
		documents, err := in(t, dir, "", "", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range validate(t.Context(), documents) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
