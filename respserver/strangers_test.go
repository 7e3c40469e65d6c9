package respserver

import (
	"crypto/tls"
	"testing"
	"time"
)

func (f *fixture) killedFor(why string) uint64 {
	f.srv.stats.mu.Lock()
	defer f.srv.stats.mu.Unlock()
	return f.srv.stats.killed[why]
}

// TestStrangersKeepNobodyOut: however many connect and do not log in, who logs in at once gets in, and who has logged in stays.
func TestStrangersKeepNobodyOut(t *testing.T) {
	f := start(t, func(c *Config) { someUsers(c); c.MaxClients, c.MaxUnauthenticated = 6, 3 })
	var in []*peer
	login := func() {
		t.Helper()
		p := f.dial()
		p.ask("+OK\r\n", "auth", "writer", "w")
		in = append(in, p)
	}
	login()
	noAuth := "-NOAUTH Authentication required.\r\n"
	var strangers []*peer
	stranger := func() {
		t.Helper()
		p := f.dial()
		p.ask(noAuth, "echo", "x")
		strangers = append(strangers, p)
	}
	for range 5 {
		stranger()
	}
	for i, p := range strangers {
		if i < 2 {
			p.closed() // the longest first
		} else {
			p.ask(noAuth, "echo", "x")
		}
	}
	if n := f.srv.strangersNow(); n != 3 {
		t.Errorf("%d have not logged in", n)
	}
	// Where all places are taken those of strangers go to whoever comes.
	for range 5 {
		login()
	}
	for _, p := range strangers[2:] {
		p.closed()
	}
	for _, p := range in {
		p.ask("$6\r\nwriter\r\n", "acl", "whoami")
	}
	p := f.dial() // none is left that could go
	p.want("-ERR max number of clients reached\r\n")
	p.closed()
	eventually(t, "five are counted", func() bool { return f.killedFor("unauthenticated") == 5 })
	// Who logs out is one of them again, and may be closed for others.
	in[0].ask("+RESET\r\n", "reset")
	if n := f.srv.strangersNow(); n != 1 {
		t.Errorf("%d have not logged in", n)
	}
	stranger()
	in[0].closed()
	in[1].ask("$6\r\nwriter\r\n", "acl", "whoami")
}

// TestResetIsNoNewcomer: who has not logged in does not gain time by RESET.
func TestResetIsNoNewcomer(t *testing.T) {
	f := start(t, func(c *Config) { someUsers(c); c.MaxUnauthenticated = 2; c.AuthTimeout = 500 * time.Millisecond })
	old, young := f.dial(), f.dial()
	old.ask("-NOAUTH Authentication required.\r\n", "echo", "x")
	young.ask("-NOAUTH Authentication required.\r\n", "echo", "x")
	old.ask("+RESET\r\n", "reset")
	third := f.dial()
	third.ask("-NOAUTH Authentication required.\r\n", "echo", "x")
	old.closed()
	young.ask("+RESET\r\n", "reset")
	begin := time.Now()
	for {
		if _, err := young.nc.Write([]byte(frame("reset"))); err != nil {
			break
		}
		if time.Since(begin) > patience {
			t.Fatal("who resets all the time is never closed")
		}
	}
}

// TestHandshakesKeepNobodyOut: over TLS a connection is a stranger until the handshake is done, also where nobody has to log in.
func TestHandshakesKeepNobodyOut(t *testing.T) {
	cert := selfSigned(t)
	f := start(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
		c.MaxClients, c.MaxUnauthenticated = 4, 2
	})
	silent := []*peer{f.dial(), f.dial(), f.dial()}
	silent[0].closed()
	for range 4 {
		nc, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		newPeer(t, nc).ask(pong, "echo", "pong")
	}
	silent[1].closed()
	silent[2].closed()
	eventually(t, "they are counted", func() bool { return f.killedFor("unauthenticated") == 3 && f.srv.strangersNow() == 0 })
	if n := f.srv.stats.rejectedTotal(); n != 0 {
		t.Errorf("%d are counted as rejected too", n)
	}
}
