package resp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/yolean/kafka-cache/respserver"
)

// TestOffsetsOfTopicsThatMayBeRead: INFO and ROLE tell how far this instance and its peers are in the topics that the user may read; the offsets of others would
// tell it how much is written there.
func TestOffsetsOfTopicsThatMayBeRead(t *testing.T) {
	hash := func(p string) [][32]byte { return [][32]byte{respserver.HashPassword([]byte(p))} }
	all := pods(t, 2, func(c *respserver.Config) {
		c.Password = []byte("root")
		c.Peers.Password = func() ([]byte, error) { return []byte("root"), nil }
		c.Users = []respserver.User{{Name: "b-reader", Passwords: hash("b"), Topics: map[string]respserver.Right{"b": respserver.MayRead}}}
	})
	root, reader := all[0].dial(), all[0].dial()
	root.ask("+OK\r\n", "auth", "root")
	reader.ask("+OK\r\n", "auth", "b-reader", "b")
	agree := func(p *peer, offset int) {
		t.Helper()
		eventually(t, fmt.Sprintf("INFO and ROLE tell offset %d of both", offset), func() bool {
			info, role := p.call("INFO", "replication"), p.call("ROLE")
			return masterOffset(info) == fmt.Sprint(offset) && strings.Contains(info, fmt.Sprintf(",offset=%d,", offset)) &&
				strings.HasPrefix(role, fmt.Sprintf("*3\r\n$6\r\nmaster\r\n:%d\r\n", offset)) && strings.HasSuffix(role, fmt.Sprintf("\r\n%d\r\n", offset))
		})
	}
	for i := range 3 {
		root.ask("+OK\r\n", "set", fmt.Sprint(i), "v")
	}
	root.ask("+OK\r\n", "select", "1")
	root.ask("+OK\r\n", "set", "k", "1")
	root.ask(":2\r\n", "wait", "2", "10000")
	agree(root, 4)
	agree(reader, 1)
}
