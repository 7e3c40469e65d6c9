package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// section is one comparison in the report.
type section struct {
	title   string
	text    []string // paragraphs
	tables  []table
	targets []target
	plots   []plot
}

type table struct {
	title string
	head  []string
	rows  [][]string
}

// target is a figure that the project has promised itself.
type target struct {
	what, want, got string
	met             bool
}

// report is the whole page.
type report struct {
	options
	at                time.Time
	took              time.Duration
	machine, versions []fact
	restless          []string
	sections          []section
}

func (r report) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\n")
	fmt.Fprintf(&b, "Written by `make bench`, which starts everything that is compared here on one machine in one run. "+
		"%s, %s, at %s, in %v. In each round every candidate takes its turn, in an order that alternates, and ratios are made within a round: "+
		"figures are the median of the rounds, with the minimum and the maximum in brackets. MB are 10⁶ bytes. "+
		"Kafka, the load generators and what is measured share the same %s.\n",
		plural(r.rounds, "round"), r.at.UTC().Format("2 January 2006"), r.at.UTC().Format("15:04 UTC"), r.took.Round(time.Second), plural(runtime.NumCPU(), "core"))
	if len(r.restless) > 0 {
		fmt.Fprintf(&b, "\n**The machine was busy with something else** when %s began, of all that was measured: the figures are worth accordingly less.\n", plural(len(r.restless), "measurement"))
	}
	targets := table{head: []string{"target", "", "measured", ""}}
	for _, s := range r.sections {
		for _, t := range s.targets {
			verdict := "**missed**"
			if t.met {
				verdict = "met"
			}
			targets.rows = append(targets.rows, []string{t.what, t.want, t.got, verdict})
		}
	}
	if len(targets.rows) > 0 {
		b.WriteString("\n## Targets\n\n")
		targets.write(&b)
	}
	for _, s := range r.sections {
		fmt.Fprintf(&b, "\n## %s\n", s.title)
		for _, p := range s.text {
			fmt.Fprintf(&b, "\n%s\n", p)
		}
		if limit := limitedBy[s.title]; limit != "" {
			fmt.Fprintf(&b, "\n**What limits it:** %s\n", limit)
		}
		for _, t := range s.tables {
			b.WriteString("\n")
			t.write(&b)
		}
		if r.out != "" {
			for _, p := range s.plots {
				fmt.Fprintf(&b, "\n![%s](%s/%s.svg)\n", p.caption(), plotsDir, p.name())
			}
		}
	}
	b.WriteString("\n## The machine and the versions\n\n")
	facts := table{head: []string{"", ""}}
	for _, f := range append(r.machine, r.versions...) {
		facts.rows = append(facts.rows, []string{f.name, f.value})
	}
	facts.write(&b)
	fmt.Fprintf(&b, `
## To repeat it

`+"```sh"+`
make bench                                                            # all of this page, about %s
make bench BENCH_ARGS='-only get -entries 100000 -rounds 1'           # a part of it, small, printed instead
make bench BENCH_ARGS='-h'                                            # what else can be chosen
`+"```"+`

The machine should do nothing else meanwhile. It needs Linux, and what `+"`tools/setup.sh bench`"+` gets: a Java compiler, a C++ compiler with the headers of librdkafka and Node.js, Maven, npm, kcat and Redis.
The program is in `+"`tests/bench`"+`.
`, plural(max(1, int(r.took.Round(time.Minute).Minutes())), "minute"))
	_, err := io.WriteString(w, b.String())
	return err
}

func (t table) write(b *strings.Builder) {
	if t.title != "" {
		fmt.Fprintf(b, "%s\n\n", t.title)
	}
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat(" --- |", len(t.head)))
	for _, row := range t.rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// thousands is n with a comma between groups of three digits.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
