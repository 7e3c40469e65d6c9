package conformance

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// runner is TestConformance's, so that its clusters outlive the parallel subtests.
var runner *Runner

func TestMain(m *testing.M) {
	flag.Parse()
	// Scenarios wait for brokers most of the time: more of them than there are cores make the run shorter. -parallel decides where it is given.
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", "6"); err != nil {
			panic(err)
		}
	}
	subject, err := NewSubject("kafka-cache")
	if err != nil {
		panic(err)
	}
	runner = NewRunner(subject)
	code := m.Run()
	if err := runner.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// TestConformance runs the scenarios for one broker on the daemon of this tree.
func TestConformance(t *testing.T) {
	for _, s := range Scenarios() {
		if s.Slow || !s.OnBrokers(1) {
			continue
		}
		t.Run(s.String(), func(t *testing.T) {
			if !s.Alone { // those run while the others wait for all to have been begun
				t.Parallel()
			}
			r := runner.Run(t.Context(), s, 1)
			switch r.Outcome {
			case Failed:
				t.Errorf("%s\n%s", r.Seen, r.Detail)
			case NotApplicable:
				t.Errorf("it is %s: %s", r.Outcome, r.Seen)
			default:
				t.Log(r.Seen)
			}
		})
	}
}
