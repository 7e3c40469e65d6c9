package kafkatest

import (
	"reflect"
	"testing"
)

func TestParseConsoleRecord(t *testing.T) {
	got, err := parseConsoleRecord("Partition:2\x1fOffset:41\x1fa:1\x1db:x:y\x1fkey\x1f\x1c")
	want := ConsoleRecord{Partition: 2, Offset: 41, Key: Text("key"), Headers: []ConsoleHeader{{"a", "1"}, {"b", "x:y"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = parseConsoleRecord("Partition:0\x1fOffset:0\x1fNO_HEADERS\x1f\x1c\x1f")
	want = ConsoleRecord{Value: Text("")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "Partition:0\x1fOffset:0\x1fNO_HEADERS\x1fk", "Partition:x\x1fOffset:0\x1fNO_HEADERS\x1fk\x1fv", "Partition:0\x1fOffset:0\x1fh\x1fk\x1fv"} {
		if r, err := parseConsoleRecord(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, r)
		}
	}
}

func TestConsoleRecordRefusesControlCharacters(t *testing.T) {
	for _, r := range []ConsoleRecord{
		{Key: Text("a\nb"), Value: Text("v")},
		{Key: Text("k"), Value: Text("a\x1fb")},
		{Key: Text("k"), Headers: []ConsoleHeader{{"h", "\x1d"}}},
	} {
		if line, err := r.line(); err == nil {
			t.Errorf("%+v becomes %q", r, line)
		}
	}
}
