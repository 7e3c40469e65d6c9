package resp_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/core/position"
)

// TestShutdownLetsWaitsEnd: whoever waits for what a token says is answered when it is applied; only who waits for what does not come is sent away.
func TestShutdownLetsWaitsEnd(t *testing.T) {
	f := start(t, nil)
	f.produce("b", "k", "1")
	b, err := f.cache.Topic("b")
	if err != nil {
		t.Fatal(err)
	}
	future := func(n int64) string {
		o := b.Position().Offsets()
		o[0].Next += n
		return position.New(b.Position().Topic(), o...).String()
	}
	soon, never, idle := f.dial(), f.dial(), f.dial()
	for _, p := range []*peer{soon, never} {
		p.ask("+OK\r\n", "select", "1")
	}
	soon.send(frame("kafka.wait", future(1), "0"))
	never.send(frame("kafka.wait", future(1000), "0"))
	eventually(t, "both wait", func() bool { return strings.Contains(idle.call("info", "clients"), "\r\nblocked_clients:2\r\n") })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.srv.Shutdown(ctx) }()
	if _, err := idle.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("who is idle is told %v", err)
	}
	f.produce("b", "k", "2")
	soon.want(":1\r\n")
	never.want(":0\r\n")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
