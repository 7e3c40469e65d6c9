package respserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSlowLogKeepsNoSecrets(t *testing.T) {
	table := newTable(false)
	for line, want := range map[string]string{
		"auth s3cret":                         "auth (redacted)",
		"auth me s3cret":                      "auth (redacted) (redacted)",
		"HELLO 3 AUTH me s3cret setname name": "HELLO 3 AUTH (redacted) (redacted) setname name",
		"get auth":                            "get auth",
		// Neither does anything here, and who tries has told a password all the same.
		"acl setuser me on >s3cret ~*":                          "acl setuser me (redacted) (redacted) (redacted)",
		"config set requirepass s3cret":                         "config set requirepass (redacted)",
		"CONFIG SET slowlog-max-len 5 Masterauth s3cret save x": "CONFIG SET slowlog-max-len 5 Masterauth (redacted) save (redacted)",
	} {
		var args [][]byte
		for _, w := range strings.Fields(line) {
			args = append(args, []byte(w))
		}
		cmd := table.byName[strings.ToLower(string(args[0]))]
		if cmd.subs != nil {
			cmd = cmd.subs[strings.ToLower(string(args[1]))]
		}
		if got := strings.Join(loggable(cmd, args), " "); got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// TestSlowLogIsBounded: by slowlog-max-len, also where it becomes smaller, and each entry by itself.
func TestSlowLogIsBounded(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("+OK\r\n", "config", "set", "slowlog-log-slower-than", "0", "SLOWLOG-max-len", "3")
	many := []string{"command", "info"}
	for i := range 40 {
		many = append(many, fmt.Sprint("no", i))
	}
	many[5] = strings.Repeat("x", 200)
	p.send(frame(many...))
	p.want("*40\r\n" + strings.Repeat("$-1\r\n", 40))
	for range 5 {
		p.ask(pong, "echo", "pong")
		p.ask(":1\r\n", "client", "id")
	}
	p.send(frame(many...))
	p.want("*40\r\n" + strings.Repeat("$-1\r\n", 40))
	if n := f.srv.slow.len(); n != 3 {
		t.Errorf("%d entries", n)
	}
	newest := f.srv.slow.newest(1)[0]
	if len(newest.args) != 32 || newest.args[5] != strings.Repeat("x", 128)+"... (72 more bytes)" || newest.args[31] != "... (11 more arguments)" {
		t.Errorf("%q", newest.args)
	}
	p.ask("+OK\r\n", "config", "set", "slowlog-log-slower-than", "-1", "slowlog-max-len", "1")
	p.ask(":1\r\n", "slowlog", "len")
	p.ask("-ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - argument must be between 0 and 10000 inclusive\r\n", "config", "set", "slowlog-log-slower-than", "5",
		"slowlog-max-len", "10001")
	p.ask("-ERR CONFIG SET failed (possibly related to argument 'Slowlog-max-len') - duplicate parameter\r\n", "config", "set", "slowlog-max-len", "x", "slowlog-log-slower-than", "5",
		"Slowlog-max-len", "7")
	p.ask("-ERR CONFIG SET failed (possibly related to argument 'maxclients') - duplicate parameter\r\n", "config", "set", "maxclients", "1", "maxclients", "2")
	many = []string{"config", "set"} // what is wrong with as many as there can be is found at once
	for range (1<<20 - 2) / 2 {
		many = append(many, "x", "1")
	}
	p.ask("-ERR CONFIG SET failed (possibly related to argument 'x') - can't set immutable config: it is made of flags, environment and file, at start\r\n", many...)
	p.ask("*2\r\n$23\r\nslowlog-log-slower-than\r\n$2\r\n-1\r\n", "config", "get", "slowlog-log-slower-than") // all or nothing
	p.ask("+OK\r\n", "slowlog", "reset")
	p.ask(":0\r\n", "slowlog", "len")
	p.ask("*0\r\n", "slowlog", "get")
}

// TestSlowLogOfRuns: commands that are timed together are logged by what each took on average.
func TestSlowLogOfRuns(t *testing.T) {
	f := start(t, nil)
	p := f.dial()
	p.ask("+OK\r\n", "client", "setname", "me")
	p.ask("+OK\r\n", "config", "set", "slowlog-log-slower-than", "0")
	p.ask(pong, "echo", "pong")
	eventually(t, "the run is logged", func() bool {
		return slices.ContainsFunc(f.srv.slow.newest(-1), func(e slowEntry) bool {
			return e.args[0] == "echo" && e.name == "me" && e.client == p.nc.LocalAddr().String() && e.took < time.Minute
		})
	})
}

// TestSlowLogShowsWhatMayBeRead: the keys and values of topics that an administrator has no right to read are not shown to it.
func TestSlowLogShowsWhatMayBeRead(t *testing.T) {
	f := start(t, func(c *Config) {
		someUsers(c)
		c.Users = append(c.Users, User{Name: "ops", Passwords: passwords("o"), Admin: true, Topics: map[string]Right{"b": MayRead}})
	})
	f.srv.slow.threshold.Store(-1) // nothing but what is added here
	boss, ops := f.dial(), f.dial()
	boss.ask("+OK\r\n", "auth", "boss", "b")
	ops.ask("+OK\r\n", "auth", "ops", "o")
	lines := []string{"getrange key 0 1", "object encoding key", "subscribe __keyspace@0__:key", "client id"}
	for db := range 2 {
		for _, line := range lines {
			words := strings.Fields(line)
			cmd := f.srv.table.byName[words[0]]
			if cmd.subs != nil {
				cmd = cmd.subs[words[1]]
			}
			f.srv.slow.add(&conn{nc: boss.nc, db: db}, cmd, words, time.Minute)
		}
	}
	run := "get ... (7 commands, timed together)"
	f.srv.slow.add(&conn{nc: boss.nc}, nil, []string{"get", run[len("get "):]}, time.Minute)
	sees := func(p *peer, lines ...string) {
		t.Helper()
		entries := f.srv.slow.newest(-1)
		var want strings.Builder
		fmt.Fprintf(&want, "*%d\r\n", len(entries))
		for i, e := range entries {
			words := strings.Fields(lines[len(lines)-1-i])
			if e.cmd == nil {
				words = e.args
			}
			fmt.Fprintf(&want, "*6\r\n:%d\r\n:%d\r\n:60000000\r\n%s$%d\r\n%s\r\n$0\r\n\r\n", e.id, e.at.Unix(), frame(words...), len(e.client), e.client)
		}
		p.ask(want.String(), "slowlog", "get", "-1")
	}
	sees(boss, slices.Concat(lines, lines, []string{run})...)
	sees(ops, "getrange (redacted)", "object encoding (redacted)", "subscribe (redacted)", "client id", lines[0], lines[1], "subscribe (redacted)", "client id", run)
}
