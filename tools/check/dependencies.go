package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const dependencyFile = "docs/dependencies.md"

// A section of the file is "## core" with a table whose rows begin with a module's path.
var (
	sectionLine    = regexp.MustCompile("^## `?([a-z/]+)`?")
	dependencyLine = regexp.MustCompile("^\\| `([^`]+)` \\| *(.*?) *\\|")
)

// checkDependencies holds docs/dependencies.md to the direct requirements of every module.
func checkDependencies(top string, _ []string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(top, dependencyFile))
	if err != nil {
		return nil, err
	}
	written := map[string]map[string]string{}
	section := ""
	for line := range strings.Lines(string(text)) {
		if m := sectionLine.FindStringSubmatch(line); m != nil {
			section = m[1]
			written[section] = map[string]string{}
		} else if m := dependencyLine.FindStringSubmatch(line); m != nil && section != "" {
			written[section][m[1]] = m[2]
		}
	}
	var breaches []string
	for _, m := range modules {
		required, err := directRequirements(filepath.Join(top, m, "go.mod"))
		if err != nil {
			return nil, err
		}
		for _, r := range required {
			if written[m][r] == "" {
				breaches = append(breaches, fmt.Sprintf("%s: section %s gives no reason for %s", dependencyFile, m, r))
			}
			delete(written[m], r)
		}
		for left := range written[m] {
			breaches = append(breaches, fmt.Sprintf("%s: section %s lists %s, which %s/go.mod does not require", dependencyFile, m, left, m))
		}
	}
	return breaches, nil
}

// directRequirements are the modules of others that a go.mod requires without "// indirect".
func directRequirements(file string) ([]string, error) {
	cmd := exec.Command("go", "mod", "edit", "-json", filepath.Base(file))
	cmd.Dir = filepath.Dir(file)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect && !strings.HasPrefix(r.Path, project) {
			direct = append(direct, r.Path)
		}
	}
	return direct, nil
}
