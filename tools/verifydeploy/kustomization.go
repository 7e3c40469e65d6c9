package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// kustomizations are the directories that kubectl apply -k takes; components are built by those that use them.
func kustomizations(below string) (dirs []string, err error) {
	err = filepath.WalkDir(below, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var k struct{ Kind string }
		if err := yaml.Unmarshal(text, &k); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if k.Kind == "Kustomization" {
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	if err == nil && len(dirs) == 0 {
		err = fmt.Errorf("there is none below %s", below)
	}
	return dirs, err
}

// kustomization builds one and checks every object of it.
func (v verifier) kustomization(ctx context.Context, dir string) (string, []error) {
	documents, err := build(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return "", joined(err)
	}
	wrong := validate(ctx, documents)
	if err := v.kubeScore(ctx, documents); err != nil {
		wrong = append(wrong, err)
	}
	return fmt.Sprintf("%d objects", len(documents)), wrong
}

// build is what kubectl kustomize prints, a document each.
func build(files filesys.FileSystem, dir string) (documents [][]byte, err error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, dir)
	if err != nil {
		return nil, err
	}
	for _, r := range resources.Resources() {
		document, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("%s makes nothing", dir)
	}
	return documents, nil
}

// stream is what kubectl apply -f would take.
func stream(documents [][]byte) string {
	var b strings.Builder
	for _, d := range documents {
		b.WriteString("---\n")
		b.Write(d)
	}
	return b.String()
}
