package respserver

import (
	"strings"
	"testing"
)

func TestMultiWhileLoading(t *testing.T) {
	p := start(t, nil).dial()
	const loading = "LOADING kafka-cache is loading topic a, state Starting: not started\r\n"
	p.ask("+OK\r\n", "multi")
	p.ask("+QUEUED\r\n", "echo", "x")
	p.ask("-"+loading, "get", "k")
	p.ask("+QUEUED\r\n", "echo", "x")
	p.ask("-EXECABORT Transaction discarded because of previous errors.\r\n", "exec")
	for _, write := range [][]string{{"set", "k", "1"}, {"del", "k", "l"}} {
		p.ask("+OK\r\n", "multi")
		p.ask("+QUEUED\r\n", write...)
		p.ask("-EXECABORT Transaction discarded because of: "+loading, "exec")
	}
	p.ask("+OK\r\n", "multi")
	p.ask("+QUEUED\r\n", "kafka.position")
	p.ask("+QUEUED\r\n", "select", "1")
	p.ask("+QUEUED\r\n", "kafka.position")
	p.send(frame("exec"))
	p.want("*3\r\n$")
	for range 5 { // both tokens, with what precedes them
		if _, err := p.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	p.ask("$1\r\nx\r\n", "echo", "x")
}

// TestAPanicWithinExec is an error in place of its whole reply, and leaves the connection as it was.
func TestAPanicWithinExec(t *testing.T) {
	f := start(t, nil)
	f.srv.table.byName["echo"].run = func(c *conn, args [][]byte) {
		c.out = append(c.out, "$100\r\nhalf a reply"...)
		_ = args[7]
	}
	p := f.dial()
	p.send(frame("client", "getname") + frame("multi") + frame("client", "getname") + frame("echo", "x") + frame("exec") + frame("client", "getname") + frame("exec"))
	p.want("$-1\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR internal error, see the server's log\r\n$-1\r\n-ERR EXEC without MULTI\r\n")
	if !strings.Contains(f.log.String(), "panicked") || f.srv.stats.panics.Load() != 1 {
		t.Error("not logged or counted")
	}
}

// TestMultiBeforeAuthentication: nothing is queued for who may not run it.
func TestMultiBeforeAuthentication(t *testing.T) {
	f := start(t, func(c *Config) { c.Password = []byte("secret") })
	p := f.dial()
	for _, c := range []string{"multi", "discard", "unwatch"} {
		p.ask("-NOAUTH Authentication required.\r\n", c)
	}
	p.ask("-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n", "exec")
	p.ask("+OK\r\n", "auth", "secret")
	p.ask("+OK\r\n", "multi")
	p.ask("+QUEUED\r\n", "auth", "wrong")
	p.ask("+QUEUED\r\n", "client", "getname")
	p.ask("*2\r\n-"+wrongPass+"\r\n$-1\r\n", "exec")
	p.ask("+OK\r\n", "multi")
	p.ask("+RESET\r\n", "reset") // which logs out too
	p.ask("-NOAUTH Authentication required.\r\n", "client", "getname")
}

// TestExecEndsWithItsClient: what is queued is not run on for a client that was closed, or has reset the connection.
func TestExecEndsWithItsClient(t *testing.T) {
	for _, way := range []string{"closed", "reset"} {
		t.Run(way, func(t *testing.T) {
			f := start(t, nil)
			p, other := f.dial(), f.dial()
			p.ask("$-1\r\n", "client", "getname")
			other.ask("$-1\r\n", "client", "getname")
			ran := 0
			f.srv.table.byName["echo"].run = func(c *conn, args [][]byte) {
				ran++
				switch {
				case ran != 10:
				case way == "closed":
					c.end("test")
				default:
					_ = p.tcp().SetLinger(0)
					_ = p.nc.Close()
				}
				c.out = append(c.out, make([]byte, execLooks)...)
			}
			p.send(frame("multi") + strings.Repeat(frame("echo", "x"), 1000) + frame("exec"))
			eventually(t, "its end", func() bool { return f.srv.connected() == 1 })
			if ran < 10 || ran > 20 { // a reset may take a moment
				t.Errorf("%d commands ran", ran)
			}
			other.send(frame("client", "getname"))
			other.want("$-1\r\n")
		})
	}
}
