package respserver

import (
	"slices"
	"strconv"
	"strings"
)

// What a connection may do is asked here, and nowhere else. Any goroutine may ask.

// mayRead reports whether the connection's user may know anything of a database's topic: values, keys, how many there are, and what changes.
func (c *conn) mayRead(db int) bool {
	a := c.user.Load()
	return a.full || a.rights[db] >= MayRead
}

// mayReadAll is mayRead of every topic.
func (c *conn) mayReadAll() bool {
	a := c.user.Load()
	return a.full || !slices.ContainsFunc(a.rights, func(r Right) bool { return r < MayRead })
}

// readsLess reports whether there is a topic that before could read, and a cannot.
func (a *account) readsLess(before *account) bool {
	for i, r := range before.rights {
		if r >= MayRead && a.rights[i] < MayRead {
			return true
		}
	}
	return false
}

// mayReadLess is called once the connection's user may read less than before: what waits to be sent of it is not sent. Its client's cache is emptied, since nothing
// would tell of changes there, and a subscriber is closed, as in Redis.
func (c *conn) mayReadLess() {
	c.srv.tracking.flushOf(c)
	if c.subscribed.Load() != 0 {
		c.end("user")
	}
}

// mayHear reports whether the connection's user may know that there is a subscription to a channel, whose name may have a key: it is that of a topic which it may
// read, or it may read all.
func (c *conn) mayHear(channel string) bool {
	if c.mayReadAll() {
		return true
	}
	for db := range c.srv.topics {
		n := strconv.Itoa(db)
		if c.mayRead(db) && (strings.HasPrefix(channel, "__keyspace@"+n+"__:") || strings.HasPrefix(channel, "__keyevent@"+n+"__:")) {
			return true
		}
	}
	return false
}

// mayWrite reports whether the connection's user may write to a database's topic. Whether the topic takes writes is another question.
func (c *conn) mayWrite(db int) bool {
	a := c.user.Load()
	return a.full || a.rights[db] >= MayWrite
}

// mayAdminister reports whether the connection's user may see and end other clients, and see how the instance is configured.
func (c *conn) mayAdminister() bool { return c.user.Load().admin }

// Redis's texts.
const noKeys = "NOPERM this user has no permissions to access one of the keys used as arguments"

func noCommand(cmd *command) string {
	return "NOPERM this user has no permissions to run the '" + cmd.name + "' command"
}

// forbidden is why the connection's user may not run a command on a database; empty where it may.
func (c *conn) forbidden(cmd *command, db int) string {
	if c.user.Load().full {
		return ""
	}
	switch {
	case cmd.flags&admin != 0 && !c.mayAdminister(), cmd.flags&ofEveryTopic != 0 && !c.mayReadAll():
	case cmd.flags&write != 0 && !c.mayWrite(db), cmd.flags&(readonly|ofTopic) != 0 && !c.mayRead(db):
		if cmd.first > 0 {
			c.srv.stats.deniedKeys.Add(1)
			return noKeys
		}
	default:
		return ""
	}
	c.srv.stats.deniedCommands.Add(1)
	return noCommand(cmd)
}

// forbiddenInExec is forbidden of a command that could be queued, since the user was another one then: Redis's text.
func (c *conn) forbiddenInExec(cmd *command, db int) string {
	switch c.forbidden(cmd, db) {
	case "":
		return ""
	case noKeys:
		return noLonger + "no permission to touch the specified keys"
	}
	return noLonger + "no permission to execute the command or subcommand"
}

const noLonger = "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. " +
	"This command is no longer allowed for the following reason: "
