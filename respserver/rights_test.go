package respserver

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"
)

func passwords(all ...string) (hashes [][sha256.Size]byte) {
	for _, p := range all {
		hashes = append(hashes, HashPassword([]byte(p)))
	}
	return hashes
}

// someUsers: a is writable, b is not.
func someUsers(c *Config) {
	c.Users = []User{
		{Name: "reader", Passwords: passwords("r1", "r2"), Topics: map[string]Right{"b": MayRead}},
		{Name: "writer", Passwords: passwords("w"), Topics: map[string]Right{"a": MayWrite}},
		{Name: "boss", Passwords: passwords("b"), Admin: true, Others: MayWrite},
		{Name: "stranger", Passwords: passwords("s")},
	}
}

// free are the commands that say nothing of a topic or of other clients, so that every user may run them. A command that is added is to be
// looked at: it belongs here, or carries a flag by which rights.go asks for one.
var free = []string{
	"auth", "hello", "ping", "echo", "select", "quit", "reset", "multi", "exec", "discard", "unwatch", "wait", "waitaof", "info", "time", "role", "client", "client|id", "client|info",
	"client|getname", "client|setname", "client|setinfo", "client|reply", "client|no-touch", "client|tracking", "client|caching", "client|trackinginfo",
	"client|getredir", "client|maint_notifications", "client|help", "config|help", "module|help", "latency|help", "slowlog|help", "acl", "acl|whoami", "acl|cat", "acl|help", "object|help", "memory|help", "memory|doctor", "memory|malloc-stats",
	"cluster", "cluster|slots", "cluster|shards", "cluster|info", "cluster|nodes", "cluster|myid", "cluster|help", "readonly", "readwrite", "kafka.fresh",
	"command", "command|count", "command|info", "command|docs", "command|list", "command|getkeys", "command|getkeysandflags", "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "pubsub", "pubsub|help", "command|help", "lastsave",
}

func TestEveryCommandAsksForARight(t *testing.T) {
	f := start(t, func(c *Config) { someUsers(c); c.AllowFlush = true })
	p := f.dial()
	p.ask("+OK\r\n", "auth", "stranger", "s")
	c := f.srv.clients()[0]
	for _, cmd := range f.srv.table.all {
		if why := c.forbidden(cmd, 0); (why == "") != slices.Contains(free, cmd.name) {
			t.Errorf("%s: %q", cmd.name, why)
		}
	}
}

func TestUsersLogIn(t *testing.T) {
	f := start(t, someUsers)
	const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	p := f.dial()
	p.ask("-NOAUTH Authentication required.\r\n", "echo", "x")
	for _, args := range [][]string{{"auth", "reader", "w"}, {"auth", "nobody", "r1"}, {"auth", "r1"}, {"auth", "default", "x"}, {"auth", "default", ""}, {"auth", "", ""}, {"hello", "3", "auth", "reader", "b"}} {
		p.ask(wrong, args...)
	}
	if n := f.srv.stats.deniedAuth.Load(); n != 7 {
		t.Errorf("%d failures are counted", n)
	}
	for _, pair := range [][2]string{{"reader", "r1"}, {"reader", "r2"}, {"boss", "b"}} {
		p.ask("+OK\r\n", "auth", pair[0], pair[1])
		p.ask("$"+string('0'+rune(len(pair[0])))+"\r\n"+pair[0]+"\r\n", "acl", "whoami")
	}
	p.ask(wrong, "auth", "reader", "wrong")
	p.ask("$4\r\nboss\r\n", "acl", "whoami") // a failed attempt changes nothing
	p.ask("+RESET\r\n", "reset")
	p.ask("-NOAUTH Authentication required.\r\n", "acl", "whoami")
}

func TestRightsOnTopics(t *testing.T) {
	f := start(t, someUsers)
	const keys = "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n"
	command := func(name string) string {
		return "-NOPERM this user has no permissions to run the '" + name + "' command\r\n"
	}
	p := f.dial()
	p.ask("+OK\r\n", "auth", "reader", "r1")
	for _, args := range [][]string{{"get", "k"}, {"mget", "k"}, {"set", "k", "v"}, {"del", "k"}, {"exists", "k"}, {"type", "k"}, {"ttl", "k"}, {"object", "encoding", "k"}, {"memory", "usage", "k"},
		{"kafka.meta", "k"}, {"kafka.set", "k", "v"}, {"getrange", "k", "0", "1"}} {
		p.ask(keys, args...)
	}
	for _, args := range [][]string{{"scan", "0"}, {"keys", "*"}, {"dbsize"}, {"randomkey"}, {"kafka.range", "a", "b"}, {"kafka.invalid"}, {"kafka.position"}, {"kafka.lastwrite"}, {"kafka.repair"},
		{"kafka.wait", "x", "1"}} {
		p.ask(command(args[0]), args...)
	}
	for _, args := range [][]string{{"client", "list"}, {"client", "kill", "id", "1"}, {"config", "get", "*"}, {"slowlog", "get"}, {"acl", "list"}, {"acl", "users"}, {"acl", "getuser", "boss"}} {
		p.ask(command(args[0]+"|"+args[1]), args...)
	}
	p.ask("+OK\r\n", "select", "1")
	p.send(frame("get", "k"))
	p.want("-LOADING kafka-cache is loading topic b, state Starting")
	p = f.dial()
	p.ask("+OK\r\n", "auth", "reader", "r2")
	p.ask("+OK\r\n", "select", "1")
	p.ask(keys, "set", "k", "v") // which it may read only
	p.ask(command("select"), "select", "0")
	p.ask("-ERR DB index is out of range\r\n", "select", "2")

	// At queueing, and at EXEC where the user has become another one.
	p.ask("+OK\r\n", "multi")
	p.ask(command("select"), "select", "0")
	p.ask("-EXECABORT Transaction discarded because of previous errors.\r\n", "exec")
	boss := f.dial()
	boss.ask("+OK\r\n", "auth", "boss", "b")
	boss.ask("+OK\r\n", "multi")
	for _, args := range [][]string{{"auth", "stranger", "s"}, {"config", "get", "databases"}, {"kafka.position"}} {
		boss.ask("+QUEUED\r\n", args...)
	}
	boss.ask("*3\r\n+OK\r\n-"+noLonger+"no permission to execute the command or subcommand\r\n-"+noLonger+"no permission to execute the command or subcommand\r\n", "exec")

	stranger := f.dial()
	stranger.ask("+OK\r\n", "auth", "stranger", "s")
	stranger.ask("$12\r\n# Keyspace\r\n\r\n", "info", "keyspace")
	stranger.ask("$35\r\n# Kafka\r\nstate:Starting\r\ntopics:2\r\n\r\n", "info", "kafka")
}

func TestUsersAreReplacedWhileRunning(t *testing.T) {
	f := start(t, someUsers)
	reader, writer := f.dial(), f.dial()
	reader.ask("+OK\r\n", "auth", "reader", "r1")
	writer.ask("+OK\r\n", "auth", "writer", "w")
	if err := f.srv.SetUsers([]User{{Name: "reader", Passwords: passwords("new")}}, nil); err != nil {
		t.Fatal(err)
	}
	writer.closed() // there is no such user any more
	reader.ask("$6\r\nreader\r\n", "acl", "whoami")
	reader.ask("-NOPERM this user has no permissions to run the 'select' command\r\n", "select", "1") // with its new rights
	p := f.dial()
	p.ask("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "auth", "reader", "r1")
	p.ask("+OK\r\n", "auth", "reader", "new")
	if err := f.srv.SetUsers(nil, nil); err == nil {
		t.Error("a running server was made to ask for no password")
	}
	if err := f.srv.SetUsers([]User{{Name: "x y"}}, []byte("p")); err == nil {
		t.Error("a name with a blank is taken")
	}
	p.ask("$6\r\nreader\r\n", "acl", "whoami")
}

func TestTheDefaultUser(t *testing.T) {
	// With a password it may do everything, beside the others.
	f := start(t, func(c *Config) { someUsers(c); c.Password = []byte("root") })
	p := f.dial()
	p.ask("+OK\r\n", "auth", "root")
	p.ask("*5\r\n$7\r\ndefault\r\n$6\r\nreader\r\n$6\r\nwriter\r\n$4\r\nboss\r\n$8\r\nstranger\r\n", "acl", "users")
	// As one of the users without a password it is what those have who have not logged in.
	f = start(t, func(c *Config) {
		someUsers(c)
		c.Users = append(c.Users, User{Name: DefaultUser, Topics: map[string]Right{"b": MayRead}})
	})
	p = f.dial()
	p.ask("+OK\r\n", "select", "1")
	p.ask("-NOPERM this user has no permissions to run the 'select' command\r\n", "select", "0")
	p.ask("+OK\r\n", "auth", "writer", "w")
	p.ask("+OK\r\n", "select", "0")
}

func TestACL(t *testing.T) {
	f := start(t, someUsers)
	p := f.dial()
	p.ask("+OK\r\n", "auth", "boss", "b")
	p.ask(
		"*14\r\n$5\r\nflags\r\n*1\r\n$2\r\non\r\n$9\r\npasswords\r\n*2\r\n$8\r\n(hidden)\r\n$8\r\n(hidden)\r\n$8\r\ncommands\r\n$13\r\n+@all -@admin\r\n$4\r\nkeys\r\n$2\r\n~*\r\n"+
			"$8\r\nchannels\r\n$0\r\n\r\n$9\r\nselectors\r\n*0\r\n$6\r\ntopics\r\n*2\r\n$6\r\na=none\r\n$6\r\nb=read\r\n", "acl", "getuser", "reader")
	p.ask("$-1\r\n", "acl", "getuser", "nobody")
	p.ask("-ERR Unknown category 'foo'\r\n", "acl", "cat", "foo")
	p.ask("-ERR ACL SETUSER is not supported: users are made of the configuration, at start\r\n", "acl", "setuser", "x")
	p.ask(":0\r\n", "client", "kill", "user", "reader")
	p.ask("-ERR No such user 'nobody'\r\n", "client", "kill", "user", "nobody")
}

// TestWhoDoesNotLogIn: it is closed, however busy it is, and held to little memory.
func TestWhoDoesNotLogIn(t *testing.T) {
	f := start(t, func(c *Config) { someUsers(c); c.AuthTimeout = 300 * time.Millisecond })
	in := f.dial()
	in.ask("+OK\r\n", "auth", "writer", "w")
	p := f.dial()
	eventually(t, "the end of a connection that does not log in", func() bool {
		_, err := p.nc.Write([]byte(frame("ping")))
		return err != nil && f.srv.connected() == 1
	})
	f.srv.stats.mu.Lock()
	n := f.srv.stats.killed["auth"]
	f.srv.stats.mu.Unlock()
	if n != 1 {
		t.Errorf("%d are counted", n)
	}
	in.ask("$6\r\nwriter\r\n", "acl", "whoami")
}

// TestSubscriptionsOfOthers: channels are named after keys, so an administrator sees those of topics that it may read.
func TestSubscriptionsOfOthers(t *testing.T) {
	f := start(t, func(c *Config) {
		someUsers(c)
		c.Users = append(c.Users, User{Name: "ops", Passwords: passwords("o"), Admin: true, Topics: map[string]Right{"b": MayRead}})
	})
	subscriber, boss, ops := f.dial(), f.dial(), f.dial()
	for p, login := range map[*peer][2]string{subscriber: {"reader", "r1"}, boss: {"boss", "b"}, ops: {"ops", "o"}} {
		p.ask("+OK\r\n", "auth", login[0], login[1])
	}
	const ofA, ofB = "__keyspace@0__:secret", "__keyevent@1__:set"
	subscriber.ask("*3\r\n$9\r\nsubscribe\r\n$21\r\n"+ofA+"\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$18\r\n"+ofB+"\r\n:2\r\n", "subscribe", ofA, ofB)
	boss.ask("*2\r\n$18\r\n"+ofB+"\r\n$21\r\n"+ofA+"\r\n", "pubsub", "channels")
	boss.ask("*4\r\n$21\r\n"+ofA+"\r\n:1\r\n$18\r\n"+ofB+"\r\n:1\r\n", "pubsub", "numsub", ofA, ofB)
	ops.ask("*1\r\n$18\r\n"+ofB+"\r\n", "pubsub", "channels")
	ops.ask("*4\r\n$21\r\n"+ofA+"\r\n:0\r\n$18\r\n"+ofB+"\r\n:1\r\n", "pubsub", "numsub", ofA, ofB)
}
