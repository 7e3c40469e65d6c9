package resp_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestTokensOfManyPartitions: a token may name partitions that are not known here, new ones or made up. What waiting for them takes is counted among what
// connections hold, and costs nobody else anything.
func TestTokensOfManyPartitions(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("+OK\r\n", "SET", "k", "v")
	position := p.call("KAFKA.POSITION")
	head := strings.Join(strings.Split(strings.Split(position, "\r\n")[1], ":")[:2], ":") + ":"
	held := func() int {
		_, rest, _ := strings.Cut(p.call("INFO", "memory"), "clients_buffers_bytes:")
		digits, _, _ := strings.Cut(rest, "\r\n")
		n, err := strconv.Atoi(digits)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const many, each = 60_000, 128
	waiting := f.dial()
	var token strings.Builder
	token.WriteString(head)
	for i := range many {
		if i > 0 {
			token.WriteByte(',')
		}
		fmt.Fprintf(&token, "%d.1", 10+i)
	}
	waiting.ask(":2\r\n", "CLIENT", "ID")
	waiting.send(frame("KAFKA.WAIT", token.String(), "0"))
	eventually(t, "what it waits for is counted", func() bool { return held() >= many*each })
	if now := p.call("KAFKA.POSITION"); now != position {
		t.Errorf("the position is %.200q, and was %.200q", now, position)
	}
	if partitions := len(f.cache.Topics()[0].Status().Partitions); partitions != 3 {
		t.Errorf("%d partitions are known", partitions)
	}
	p.ask(":1\r\n", "CLIENT", "UNBLOCK", "2")
	waiting.want(":0\r\n")
	eventually(t, "it is not counted any more", func() bool { return held() < many*each/2 })
}
