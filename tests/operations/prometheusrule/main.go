// Command prometheusrule makes the PrometheusRule of the manifests from the file of rules, so that there is one source.
//
//	prometheusrule RULES OUTPUT
package main

import (
	"bytes"
	"fmt"
	"os"
)

const head = `# Made from deploy/prometheus/kafka-cache.rules.yaml by make generate; do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: kafka-cache
spec:
`

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: prometheusrule RULES OUTPUT")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "prometheusrule:", err)
		os.Exit(1)
	}
}

// convert puts the rules' groups below spec, as they are written.
func convert(rules, output string) error {
	text, err := os.ReadFile(rules)
	if err != nil {
		return err
	}
	at := bytes.Index(text, []byte("\ngroups:\n"))
	if at < 0 {
		return fmt.Errorf("%s has no groups", rules)
	}
	var b bytes.Buffer
	b.WriteString(head)
	for line := range bytes.Lines(text[at+1:]) {
		if len(bytes.TrimSpace(line)) > 0 {
			b.WriteString("  ")
		}
		b.Write(line)
	}
	return os.WriteFile(output, b.Bytes(), 0o644)
}
