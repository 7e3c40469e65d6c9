package main

import (
	"errors"
	"testing"
)

func TestNextReply(t *testing.T) {
	stream := "+OK\r\n$5\r\na\r\nbc\r\n$-1\r\n:12\r\n$0\r\n\r\n"
	want := []string{"OK", "a\r\nbc", "", "12", ""}
	rest := []byte(stream)
	for i, w := range want {
		payload, n, err := nextReply(rest)
		if err != nil || string(payload) != w || payload == nil != (i == 2) {
			t.Fatalf("reply %d: %q, %v", i, payload, err)
		}
		for cut := range n {
			if _, _, err := nextReply(rest[:cut]); !errors.Is(err, errShort) {
				t.Fatalf("reply %d, of which %d bytes are there: %v", i, cut, err)
			}
		}
		rest = rest[n:]
	}
	if len(rest) > 0 {
		t.Errorf("%q is left", rest)
	}
	for _, bad := range []string{"-ERR no\r\n", "$x\r\n", "$-2\r\n", "*1\r\n"} {
		if _, _, err := nextReply([]byte(bad)); err == nil || errors.Is(err, errShort) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
