package main

import (
	"fmt"
	"runtime"
	"slices"
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

// report is what a run has measured, of one scenario at a time.
type report struct {
	options
	at                time.Time // when it began
	took              time.Duration
	machine, versions []fact
	restless          []string // measurements before which the machine was busy
	order             int      // of the scenario
	sections          []section
}

// into puts the report's sections into a page.
func (r report) into(p *page) {
	for _, s := range r.sections {
		text, rows := r.section(s)
		p.put(pageSection{title: s.title, order: r.order, rows: rows, text: text})
	}
	p.know(append(slices.Clone(r.machine), r.versions...))
}

var targetsTableHead = []string{"target", "", "measured", ""}

// section is a section's text, and the rows of its table of targets.
func (r report) section(s section) (text string, rows [][]string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%02d %s -->\n## %s\n", sectionMark, r.order, s.title, s.title)
	fmt.Fprintf(&b, "\n*%s of `-only %s`, %s, in %v, %s.*\n", plural(r.rounds, "round"), scenarioNames[r.order], r.at.UTC().Format("2 January 2006, 15:04 UTC"), r.took.Round(time.Second), r.revision())
	if len(r.restless) > 0 {
		fmt.Fprintf(&b, "\n**The machine was busy with something else** when %s began: the figures are worth accordingly less.\n", plural(len(r.restless), "measurement"))
	}
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
	targets := table{head: targetsTableHead}
	for _, t := range s.targets {
		verdict := "**missed**"
		if t.met {
			verdict = "met"
		}
		targets.rows = append(targets.rows, []string{t.what, t.want, t.got, verdict})
	}
	if len(targets.rows) > 0 {
		fmt.Fprintf(&b, "\n%s\n\n", targetsHead)
		targets.write(&b)
	}
	b.WriteString(sectionEnd + "\n")
	return b.String(), targets.rows
}

// revision is the commit that was measured.
func (r report) revision() string {
	for _, f := range r.versions {
		if f.name == revisionFact {
			return "kafka-cache " + f.value
		}
	}
	return "kafka-cache"
}

// String is the whole page.
func (p *page) String() string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\n")
	fmt.Fprintf(&b, "Written by `make bench`, which starts everything that is compared here on one machine. What a section compares was measured in one run, whose date it says. "+
		"In each round every candidate takes its turn, in an order that alternates, and ratios are made within a round: "+
		"figures are the median of the rounds, with the minimum and the maximum in brackets. MB are 10⁶ bytes. "+
		"Kafka, the load generators and what is measured share the same %s.\n", plural(runtime.NumCPU(), "core"))
	if targets := p.targets(); len(targets.rows) > 0 {
		b.WriteString("\n## All targets\n\n")
		targets.write(&b)
	}
	for _, s := range p.sections {
		b.WriteString("\n" + s.text)
	}
	fmt.Fprintf(&b, "\n%s\n\n", factsHead)
	facts := table{head: []string{"", ""}}
	for _, f := range p.facts {
		facts.rows = append(facts.rows, []string{f.name, f.value})
	}
	facts.write(&b)
	b.WriteString(`
## To repeat it

` + "```sh" + `
make bench                                                            # all of this page, more than an hour
make bench BENCH_ARGS='-only limits,waits -out docs/benchmarks.md'    # some of its sections; the others stay
make bench BENCH_ARGS='-only get -entries 100000 -rounds 1'           # a part of it, small, printed instead
make bench BENCH_ARGS='-h'                                            # what else can be chosen
` + "```" + `

The machine should do nothing else meanwhile. It needs Linux, and what ` + "`tools/setup.sh bench`" + ` gets: a Java compiler, a C++ compiler with the headers of librdkafka and Node.js, Maven, npm, kcat and Redis.
The program is in ` + "`tests/bench`" + `.
`)
	return b.String()
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
