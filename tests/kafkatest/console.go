package kafkatest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// ConsoleRecord is a record as Kafka's console tools read or print it. Keys,
// values and headers are text without control characters.
type ConsoleRecord struct {
	Partition int32   // of what was consumed
	Offset    int64   // of what was consumed
	Key       *string // nil: no key
	Value     *string // nil: a tombstone
	Headers   []ConsoleHeader
}

// ConsoleHeader is a header of a ConsoleRecord.
type ConsoleHeader struct{ Key, Value string }

// The console tools work on lines of text; these control characters stand
// between the parts of one.
const (
	nullMarker         = "\x1c"
	headerSeparator    = "\x1d"
	recordSeparator    = "\x1e"
	fieldSeparator     = "\x1f"
	headerKeySeparator = "\x01"
	controlCharacters  = nullMarker + headerSeparator + recordSeparator + fieldSeparator + headerKeySeparator + "\n\r"
)

// ConsoleProduce writes the records with Kafka's console producer, which is the
// Java client with its default partitioner, and waits for their acknowledgement
// by all replicas. Partition and Offset of the records are not used.
func (c *Cluster) ConsoleProduce(tb testing.TB, topic string, records ...ConsoleRecord) {
	tb.Helper()
	var sb strings.Builder
	for _, r := range records {
		line, err := r.line()
		if err != nil {
			tb.Fatal(err)
		}
		sb.WriteString(line)
	}
	_, stderr := c.tool(tb, strings.NewReader(sb.String()), c.tools.version.consoleProducer, "--topic", topic, "--producer-property", "acks=all",
		"--property", "parse.key=true", "--property", "key.separator="+fieldSeparator, "--property", "null.marker="+nullMarker,
		"--property", "parse.headers=true", "--property", "headers.delimiter="+recordSeparator,
		"--property", "headers.separator="+headerSeparator, "--property", "headers.key.separator="+headerKeySeparator)
	if strings.Contains(string(stderr), " ERROR ") { // it exits with 0 all the same
		tb.Fatalf("the console producer could not write everything to %s:\n%s", topic, stderr)
	}
}

func (r ConsoleRecord) line() (string, error) {
	orNull := func(s *string) string {
		if s == nil {
			return nullMarker
		}
		return *s
	}
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, h.Key+headerKeySeparator+h.Value)
	}
	parts := orNull(r.Key) + orNull(r.Value)
	for _, h := range r.Headers {
		parts += h.Key + h.Value
	}
	if strings.ContainsAny(strings.ReplaceAll(parts, nullMarker, ""), controlCharacters) {
		return "", fmt.Errorf("record %q: control characters do not pass the console producer", parts)
	}
	h := nullMarker
	if len(headers) > 0 {
		h = strings.Join(headers, headerSeparator)
	}
	return h + recordSeparator + orNull(r.Key) + fieldSeparator + orNull(r.Value) + "\n", nil
}

// ConsoleConsume reads the topic from its start with Kafka's console consumer,
// read_committed, until it has printed n records.
func (c *Cluster) ConsoleConsume(tb testing.TB, topic string, n int) []ConsoleRecord {
	tb.Helper()
	if n == 0 {
		return nil
	}
	out, _ := c.tool(tb, nil, consoleConsumer, "--topic", topic, "--from-beginning", "--max-messages", strconv.Itoa(n), "--timeout-ms", "20000",
		"--isolation-level", "read_committed",
		"--property", "print.partition=true", "--property", "print.offset=true", "--property", "print.headers=true", "--property", "print.key=true",
		"--property", "key.separator="+fieldSeparator, "--property", "line.separator="+recordSeparator,
		"--property", "headers.separator="+headerSeparator, "--property", "null.literal="+nullMarker)
	var records []ConsoleRecord
	for _, line := range strings.Split(strings.TrimSuffix(string(out), recordSeparator), recordSeparator) {
		r, err := parseConsoleRecord(line)
		if err != nil {
			tb.Fatalf("the console consumer printed %q: %v", line, err)
		}
		records = append(records, r)
	}
	if len(records) != n {
		tb.Fatalf("the console consumer printed %d records of %s, not %d", len(records), topic, n)
	}
	return records
}

// parseConsoleRecord reads "Partition:0 Offset:3 headers key value", with fieldSeparator for the spaces.
func parseConsoleRecord(line string) (ConsoleRecord, error) {
	var r ConsoleRecord
	f := strings.Split(line, fieldSeparator)
	if len(f) != 5 {
		return r, fmt.Errorf("%d fields, not 5", len(f))
	}
	partition, err := strconv.ParseInt(strings.TrimPrefix(f[0], "Partition:"), 10, 32)
	if err != nil {
		return r, err
	}
	offset, err := strconv.ParseInt(strings.TrimPrefix(f[1], "Offset:"), 10, 64)
	if err != nil {
		return r, err
	}
	r.Partition, r.Offset = int32(partition), offset
	if f[2] != "NO_HEADERS" {
		for h := range strings.SplitSeq(f[2], headerSeparator) {
			k, v, ok := strings.Cut(h, ":")
			if !ok {
				return r, fmt.Errorf("header %q without a colon", h)
			}
			r.Headers = append(r.Headers, ConsoleHeader{Key: k, Value: v})
		}
	}
	if f[3] != nullMarker {
		r.Key = &f[3]
	}
	if f[4] != nullMarker {
		r.Value = &f[4]
	}
	return r, nil
}

// Text is a key or value of a ConsoleRecord.
func Text(s string) *string { return &s }
