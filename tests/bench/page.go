package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// page is what a report is written into: its sections take the places of those of the same titles, and the others stay as they were measured. A whole run takes
// more than an hour; after a change to one thing that one is measured anew.
type page struct {
	sections []pageSection
	facts    []fact
}

// pageSection is a section as it stands in the page.
type pageSection struct {
	title string
	order int        // among the scenarios
	rows  [][]string // of its table of targets
	text  string     // all of it
}

// Lines that only a program reads: Markdown's readers do not show them.
const (
	sectionMark = "<!-- section "
	sectionEnd  = "<!-- end of section -->"
	factsHead   = "## The machine and the versions"
	targetsHead = "### Targets"
)

// readPage reads what a page has, nothing where it is not there, or not of this form.
func readPage(path string) (page, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return page{}, nil
	}
	if err != nil {
		return page{}, err
	}
	return parsePage(string(b)), nil
}

func parsePage(text string) (p page) {
	_, facts, _ := strings.Cut(text, factsHead)
	for _, row := range tableRows(facts) {
		if len(row) == 2 {
			p.facts = append(p.facts, fact{row[0], row[1]})
		}
	}
	for {
		_, rest, ok := strings.Cut(text, sectionMark)
		if !ok {
			return p
		}
		body, after, ok := strings.Cut(rest, sectionEnd)
		if !ok {
			return p
		}
		text = after
		mark, _, _ := strings.Cut(body, " -->")
		order, title, ok := strings.Cut(mark, " ")
		n, err := strconv.Atoi(order)
		if !ok || err != nil {
			continue
		}
		_, targets, _ := strings.Cut(body, targetsHead)
		p.sections = append(p.sections, pageSection{title: title, order: n, rows: tableRows(targets), text: sectionMark + body + sectionEnd + "\n"})
	}
}

// tableRows are the cells of the first table in text, without its head.
func tableRows(text string) (rows [][]string) {
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if n > 0 {
				break
			}
			continue
		}
		if n++; n <= 2 {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")
		rows = append(rows, cells)
	}
	return rows
}

// put adds a section, in place of the one of that title.
func (p *page) put(s pageSection) {
	p.sections = slices.DeleteFunc(p.sections, func(old pageSection) bool { return old.title == s.title })
	p.sections = append(p.sections, s)
	slices.SortStableFunc(p.sections, func(a, b pageSection) int { return cmp.Compare(a.order, b.order) })
}

// know adds facts, in place of those of the same names.
func (p *page) know(facts []fact) {
	for _, f := range facts {
		if i := slices.IndexFunc(p.facts, func(old fact) bool { return old.name == f.name }); i >= 0 {
			p.facts[i] = f
		} else {
			p.facts = append(p.facts, f)
		}
	}
}

// targets is the table of all sections' targets.
func (p *page) targets() table {
	t := table{head: targetsTableHead}
	for _, s := range p.sections {
		t.rows = append(t.rows, s.rows...)
	}
	return t
}

// writeFile puts text in place of what path has.
func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
