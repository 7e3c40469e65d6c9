package history

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

func receive(b []byte) (reply, error) {
	return (&conn{r: bufio.NewReader(bytes.NewReader(b))}).receive()
}

func TestReplies(t *testing.T) {
	for in, want := range map[string]string{
		"+OK\r\n": "+OK", "-ERR no\r\n": "-ERR no", ":12\r\n": "12", "$3\r\na\nb\r\n": "a\nb", "$-1\r\n": "nil", "*-1\r\n": "nil",
		"*3\r\n:1\r\n:-1\r\n$1\r\nx\r\n": "[1 -1 x]", "*1\r\n*0\r\n": "[[]]",
	} {
		if r, err := receive([]byte(in)); err != nil || r.String() != want {
			t.Errorf("%q is %v, %v, want %s", in, r, err, want)
		}
	}
	for _, in := range []string{"", "+OK", "+OK\n", "?\r\n", ":x\r\n", "$-2\r\n", "$9999999\r\n", "$3\r\nab", "*2\r\n:1\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"} {
		if r, err := receive([]byte(in)); err == nil {
			t.Errorf("%q is %v, want an error", in, r)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\nx\r\n:1\r\n"))
	f.Add([]byte("$-1\r\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if r, err := receive(b); err == nil {
			_ = r.String()
		}
	})
}

// TestOutcomes holds the meaning of error replies to what docs/commands.md says.
func TestOutcomes(t *testing.T) {
	for text, want := range map[string]Outcome{
		"PENDING 1:AAAAAAAAAAAAAAAAAAAAAQ:2.7 the write is in the log of topic t": Pending,
		"UNKNOWN the outcome is not known":                                        Unknown, "PARTIAL 1 of 2 records": Unknown,
		"TRYAGAIN x": Refused, "NOREPLICAS x": Refused, "LOADING x": Refused, "READONLY x": Refused, "ERR x": Refused,
	} {
		e := Event{Kind: Write}
		if e.fail(text); e.Outcome != want {
			t.Errorf("%s… is %v, want %v", strings.Fields(text)[0], e.Outcome, want)
		}
		if (len(e.Covers) == 1 && e.Covers[0] == Next{Partition: 2, Offset: 7}) != (want == Pending) {
			t.Errorf("%s… covers %v", strings.Fields(text)[0], e.Covers)
		}
	}
}
