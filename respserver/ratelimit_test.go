package respserver

import (
	"strings"
	"testing"
	"time"
)

// TestRateLimit: what comes sooner than it may is answered later, and nothing is refused.
func TestRateLimit(t *testing.T) {
	const rate = 500
	f := start(t, func(c *Config) {
		c.RateLimit = rate
		c.Users = []User{{Name: "u", Passwords: passwords("p")}}
		c.IdleTimeout = time.Second
	})
	p := f.dial()
	p.ask("+OK\r\n", "auth", "u", "p")
	const n = 3 * rate // which takes longer than a client may be idle
	begin := time.Now()
	p.send(strings.Repeat(frame("echo", "pong"), n))
	for range n {
		p.want(pong)
	}
	if d := time.Since(begin); d < (n-rate-10)*time.Second/rate {
		t.Errorf("%d commands took %v at %d a second", n, d, rate)
	}
	begin = time.Now()
	other := f.dial()
	other.ask("+OK\r\n", "auth", "u", "p") // who has not used what it may is not held back
	other.ask(pong, "echo", "pong")
	if d := time.Since(begin); d > 500*time.Millisecond {
		t.Errorf("another client was held back for %v", d)
	}
	if f.srv.stats.rateDelays.Load() == 0 || f.srv.stats.rateLimited.Load() != 0 {
		t.Errorf("%d delays, %d held back", f.srv.stats.rateDelays.Load(), f.srv.stats.rateLimited.Load())
	}
	if s := other.text("info", "clients", "stats"); !strings.Contains(s, "rate_limited_clients:0\r\n") || strings.Contains(s, "rate_limit_delays:0\r\n") {
		t.Error(s)
	}
	// Who has sent all, and the end, gets what is due; who leaves does not stay counted.
	p.send(strings.Repeat(frame("echo", "pong"), 50))
	_ = p.tcp().CloseWrite()
	for range 50 {
		p.want(pong)
	}
	p.closed()
	other.send(strings.Repeat(frame("echo", "pong"), 3*rate))
	eventually(t, "it is held back", func() bool { return f.srv.stats.rateLimited.Load() == 1 })
	_ = other.nc.Close()
	eventually(t, "its end", func() bool { return f.srv.connected() == 0 && f.srv.stats.rateLimited.Load() == 0 })
}

// TestRateLimitReadsNoFurther: what is held back stays with the peer.
func TestRateLimitReadsNoFurther(t *testing.T) {
	f := start(t, func(c *Config) { c.RateLimit = 1 })
	p := f.dial()
	_ = p.tcp().SetWriteBuffer(4096)
	go func() {
		for range 1000 {
			if _, err := p.nc.Write([]byte(strings.Repeat(frame("echo", strings.Repeat("x", 1000)), 100))); err != nil {
				return // at the end of the test
			}
		}
	}()
	eventually(t, "it is held back", func() bool { return f.srv.stats.rateLimited.Load() == 1 })
	conn := f.srv.clients()[0]
	eventually(t, "what is read ahead", func() bool { return f.srv.stats.inputBytes.Load() >= readAhead })
	if n := conn.held(); n > 4*readAhead {
		t.Errorf("%d bytes are held", n)
	}
	_ = p.nc.Close()
}

func TestRateLimitEndsWithShutdown(t *testing.T) {
	f := start(t, func(c *Config) { c.RateLimit = 1 })
	p := f.dial()
	p.send(strings.Repeat(frame("echo", "pong"), 2*rateBurstLeast))
	for range rateBurstLeast {
		p.want(pong)
	}
	begin := time.Now()
	go func() { _ = f.srv.Shutdown(t.Context()) }()
	for range rateBurstLeast { // what has arrived is answered
		p.want(pong)
	}
	p.closed()
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("after %v", d)
	}
}
