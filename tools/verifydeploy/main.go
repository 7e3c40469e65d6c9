// Command verifydeploy checks what is under deploy, and the workflows: it builds every kustomization and has Kubernetes' own validation, the types of the Prometheus
// operator, the Pod Security Standards and kube-score look at the result, compose-go at the compose file, hadolint at the Dockerfile, promtool at Prometheus's
// configuration, and actionlint at the workflows. It exits with 1 when one of them complains.
//
//	verifydeploy [-tools DIR] TOP-OF-THE-REPOSITORY
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	tools := flag.String("tools", "", "where kube-score, actionlint, hadolint and promtool are; build/tools of the repository by default")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: verifydeploy [-tools DIR] TOP-OF-THE-REPOSITORY")
		os.Exit(2)
	}
	v := verifier{top: flag.Arg(0), tools: *tools}
	if v.tools == "" {
		v.tools = filepath.Join(v.top, "build", "tools")
	}
	if v.run(context.Background()) > 0 {
		os.Exit(1)
	}
}

// verifier checks one tree.
type verifier struct {
	top   string
	tools string // what is run rather than linked
}

// a check returns what it has looked at, for the line that says so, and what is wrong.
type check struct {
	name string
	run  func(context.Context) (looked string, wrong []error)
}

// run prints a line for each check and returns how many have failed.
func (v verifier) run(ctx context.Context) (failed int) {
	dirs, err := kustomizations(filepath.Join(v.top, "deploy"))
	checks := []check{{"kustomizations are found", func(context.Context) (string, []error) { return fmt.Sprint(len(dirs)), joined(err) }}}
	for _, dir := range dirs {
		name, err := filepath.Rel(v.top, dir)
		if err != nil {
			name = dir
		}
		checks = append(checks, check{name, func(ctx context.Context) (string, []error) { return v.kustomization(ctx, dir) }})
	}
	checks = append(checks,
		check{"deploy/compose", v.compose},
		check{"deploy/Dockerfile: hadolint", v.dockerfile},
		check{"deploy/compose/prometheus: promtool", v.prometheus},
		check{".github/workflows: actionlint", v.workflows},
	)
	for _, c := range checks {
		looked, wrong := c.run(ctx)
		if len(wrong) == 0 {
			fmt.Printf("ok  	%s (%s)\n", c.name, looked)
			continue
		}
		failed++
		fmt.Printf("FAIL	%s\n", c.name)
		for _, err := range wrong {
			fmt.Printf("	%v\n", err)
		}
	}
	if failed > 0 {
		fmt.Printf("verify-deploy: %d of %d checks failed\n", failed, len(checks))
	} else {
		fmt.Printf("verify-deploy: all %d checks passed\n", len(checks))
	}
	return failed
}

func joined(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}
