package respserver

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// idle makes connections do what they do when they have been idle, and returns when they have been told.
func (f *fixture) idle() {
	for _, c := range f.srv.clients() {
		c.wantsTrim.Store(true)
		c.wake()
	}
}

// TestIdlenessAtAnyMoment: a connection goes on in another goroutine and gives back its workspace with nothing lost, whatever has arrived,
// is waited for or is due.
func TestIdlenessAtAnyMoment(t *testing.T) {
	f := start(t, nil)
	p, waiting := f.dial(), f.dial()
	waiting.send(frame("wait", "2", "0") + frame("echo", "after"))
	eventually(t, "a blocked client", func() bool { return f.srv.stats.blocked.Load() == 1 })
	body := strings.Repeat("x", 3*firstBuffer)
	for _, in := range []string{frame("echo", "pong"), "ECHO pong\r\n", frame("echo", body), strings.Repeat(frame("echo", "pong"), 3) + frame("client", "getname")} {
		want := pong
		switch {
		case strings.HasSuffix(in, frame("client", "getname")):
			want = pong + pong + pong + "$-1\r\n"
		case strings.Contains(in, body):
			want = "$12288\r\n" + body + "\r\n"
		}
		step := max(1, len(in)/40)
		for from := 0; from < len(in); from += step {
			before := f.srv.stats.inputBytes.Load()
			p.send(in[from:min(from+step, len(in))])
			f.idle()
			eventually(t, "what was sent to arrive", func() bool { return f.srv.stats.inputBytes.Load() > before })
			f.idle()
		}
		p.want(want)
	}
	waiting.send(frame("echo", "more"))
	f.idle()
	f.srv.clients()[1].end("test")
	waiting.closed()
	eventually(t, "the end of the wait", func() bool { return f.srv.stats.blocked.Load() == 0 && f.srv.connected() == 1 })
	p.ask(pong, "echo", "pong")
}

// TestIdlenessOverTLS: there a connection needs a buffer while it waits, which becomes small.
func TestIdlenessOverTLS(t *testing.T) {
	cert := selfSigned(t)
	f := start(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	})
	nc, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	p := newPeer(t, nc)
	body := strings.Repeat("x", 100_000)
	for range 3 {
		p.ask("$100000\r\n"+body+"\r\n", "echo", body)
		eventually(t, "a large buffer", func() bool { return f.srv.buffers.Load() > int64(len(body)) })
		f.idle()
		eventually(t, "a small buffer", func() bool { return f.srv.buffers.Load() < 2*idleBuffer })
	}
}
