package conformance

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"
)

// Table is what one subject did, in Markdown, in a run that began at some time and took so long. Results of several sizes of cluster stand side by side.
func Table(subject Subject, kafkaVersion, repeat string, began time.Time, took time.Duration, brokers []int, results []Result) string {
	var b strings.Builder
	counts := map[Outcome]int{}
	for _, r := range results {
		if r.Scenario.OnBrokers(r.Brokers) {
			counts[r.Outcome]++
		}
	}
	fmt.Fprintf(&b, "### %s\n\n%s, %s, on Apache Kafka %s: %d passed, %d failed, %d not applicable. %s, in %v. To repeat it: `%s`.\n\n",
		subject.Name(), subject.Name(), subject.Version(), kafkaVersion, counts[Passed], counts[Failed], counts[NotApplicable],
		began.UTC().Format("2 January 2006"), strings.TrimSuffix(took.Round(time.Minute).String(), "0s"), repeat)
	b.WriteString("| | situation |")
	for _, n := range brokers {
		fmt.Fprintf(&b, " %s |", plural(n, "broker"))
	}
	b.WriteString(" seen |\n| --- | --- |" + strings.Repeat(" --- |", len(brokers)) + " --- |\n")
	rows := map[string][]Result{}
	var order []string
	for _, r := range results {
		key := r.Scenario.String()
		if rows[key] == nil {
			order = append(order, key)
		}
		rows[key] = append(rows[key], r)
	}
	for _, key := range order {
		row := rows[key]
		fmt.Fprintf(&b, "| %s | %s |", row[0].Scenario.ID, cell(row[0].Scenario.Name))
		for _, n := range brokers {
			fmt.Fprintf(&b, " %s |", outcomeOn(row, n))
		}
		fmt.Fprintf(&b, " %s |\n", cell(said(row)))
	}
	return b.String()
}

func outcomeOn(row []Result, brokers int) string {
	for _, r := range row {
		if r.Brokers == brokers {
			if !r.Scenario.OnBrokers(brokers) {
				return "–"
			}
			if r.Outcome == Failed {
				return "**fail**"
			}
			return r.Outcome.String()
		}
	}
	return ""
}

// said is what was wrong, or else what was seen on the largest cluster.
func said(row []Result) string {
	best := ""
	for _, r := range row {
		if !r.Scenario.OnBrokers(r.Brokers) {
			continue
		}
		if r.Outcome == Failed {
			return r.Seen
		}
		best = r.Seen
	}
	return best
}

func cell(s string) string {
	s = strings.ReplaceAll(oneLine(s), "|", "\\|")
	const most = 300
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// WriteTable puts the table between the subject's markers in the file, which must have them.
func WriteTable(file, subject, table string) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	begin, end := fmt.Appendf(nil, "<!-- conformance of %s -->", subject), fmt.Appendf(nil, "<!-- end of %s -->", subject)
	head, rest, ok := bytes.Cut(page, begin)
	_, tail, ok2 := bytes.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q to write the table between", file, begin, end)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n\n%s\n%s%s", head, begin, table, end, tail)
	return os.WriteFile(file, b.Bytes(), 0o644)
}
