package compat

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Page is docs/compatibility.md.
type Page struct {
	Libraries []Library
	Reports   map[string]Report // by the library's name
	Tools     []Report
	Kafka     string
	Machine   []string // versions of what ran the probes: "Node.js 20.20"
	Date      time.Time
}

const repeat = "make compat"

// String is the page in Markdown.
func (p Page) String() string {
	var b strings.Builder
	b.WriteString("# Compatibility\n\n")
	fmt.Fprintf(&b, `Client libraries and tools as their registries have them, unchanged and with their defaults, against the daemon in front of Apache Kafka %s. Each library is
tried by a small program in its own language (`+"`tests/compat/probes`"+`) that checks the values it gets, and not only that there was no error. This page is written by
`+"`%s`"+`, which ends with an error where a cell has failed; libraries that need nothing but Go and redis-py are part of `+"`make test`"+` too.

%s, with %s. Exact versions are in `+"`tests/go.mod`, `tests/compat/probes`"+` and their lock files.

`, p.Kafka, repeat, p.Date.Format("2 January 2006"), strings.Join(p.Machine, ", "))
	p.libraries(&b)
	p.columns(&b)
	p.notes(&b)
	p.tools(&b)
	p.notHad(&b)
	return b.String()
}

func (p Page) libraries(b *strings.Builder) {
	b.WriteString("## Libraries\n\n| library | version | RESP |")
	for _, c := range Columns {
		fmt.Fprintf(b, " %s |", c.Name)
	}
	b.WriteString("\n| --- | --- | --- |" + strings.Repeat(" --- |", len(Columns)) + "\n")
	for _, l := range p.Libraries {
		r := p.Reports[l.Name]
		fmt.Fprintf(b, "| %s | %s | %s |", l.Name, r.Version, l.Protocol)
		for _, c := range Columns {
			fmt.Fprintf(b, " %s |", cell(r, c.Name))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n– : the library has nothing of the kind, or it was not tried; the notes say which.\n\n")
}

// cell is one of the table. What was not tried and is not known to be absent is no better than what failed.
func cell(r Report, column string) string {
	if r.NotHad != "" {
		return "not had"
	}
	switch c, ok := r.result(column); {
	case ok && c.Absent:
		return "–"
	case ok && c.OK:
		return "yes"
	}
	return "**FAIL**"
}

func (p Page) columns(b *strings.Builder) {
	b.WriteString("| column | what is tried |\n| --- | --- |\n")
	for _, c := range Columns {
		fmt.Fprintf(b, "| %s | %s |\n", c.Name, c.Does)
	}
	b.WriteString("\n")
}

func (p Page) notes(b *strings.Builder) {
	b.WriteString("## Notes\n\nWhat was seen where there is more to say than yes.\n\n| library | column | |\n| --- | --- | --- |\n")
	for _, l := range p.Libraries {
		r := p.Reports[l.Name]
		for _, c := range Columns {
			if res, ok := r.result(c.Name); ok && res.Note != "" {
				fmt.Fprintf(b, "| %s | %s | %s |\n", l.Name, c.Name, inCell(failing(res)+res.Note))
			}
		}
	}
	b.WriteString("\n")
}

func (p Page) tools(b *strings.Builder) {
	if len(p.Tools) == 0 {
		return
	}
	b.WriteString("## Tools\n\n| tool | what it does | | |\n| --- | --- | --- | --- |\n")
	for _, t := range p.Tools {
		name := strings.TrimSpace(t.Name + " " + t.Version)
		if t.NotHad != "" {
			fmt.Fprintf(b, "| %s | | not had | %s |\n", name, inCell(t.NotHad))
		}
		for _, c := range t.Results {
			word := "yes"
			if !c.OK {
				word = "**FAIL**"
			}
			fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, c.Column, word, inCell(c.Note))
		}
	}
	b.WriteString("\n")
	if slices.ContainsFunc(p.Tools, func(t Report) bool { return t.Replaying }) {
		b.WriteString("Where the name says *frames*, the program itself is in no registry that the tests use: its commands are sent (Redis Insight's as they were captured from it, memtier's made by hand after its options), and the replies are held to what it parses.\n\n")
	}
}

func (p Page) notHad(b *strings.Builder) {
	for _, l := range p.Libraries {
		if r := p.Reports[l.Name]; r.NotHad != "" {
			fmt.Fprintf(b, "**%s could not be had**: %s\n\n", l.Name, inCell(r.NotHad))
		}
	}
}

func failing(r Result) string {
	if r.OK || r.Absent {
		return ""
	}
	return "**fails**: "
}

// inCell is text as a cell of a table may have it.
func inCell(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + " […]"
	}
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s)
}

// Failures are lines for what did not pass.
func (p Page) Failures() (all []string) {
	for _, l := range p.Libraries {
		r, tried := p.Reports[l.Name]
		if !tried {
			all = append(all, l.Name+": was not tried")
			continue
		}
		all = append(all, r.Failures()...)
	}
	for _, t := range p.Tools {
		all = append(all, t.Failures()...)
	}
	return all
}

// Failures are lines for what did not pass, a library that was not had among them.
func (r Report) Failures() (all []string) {
	if r.NotHad != "" {
		return []string{r.Name + " could not be had: " + r.NotHad}
	}
	for _, c := range r.Results {
		if !c.OK && !c.Absent {
			all = append(all, fmt.Sprintf("%s: %s: %s", r.Name, c.Column, c.Note))
		}
	}
	if len(r.Results) == 0 {
		all = append(all, r.Name+": nothing was tried")
	}
	return all
}
