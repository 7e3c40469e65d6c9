package respserver

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/respserver/resp"
)

// repairs bounds what KAFKA.REPAIR runs: one at a time for each topic, since each looks at all split keys.
type repairs struct {
	ctx     context.Context // ends with Shutdown
	stop    context.CancelFunc
	running []atomic.Bool // by topic
}

func newRepairs(topics int) *repairs {
	r := &repairs{running: make([]atomic.Bool, topics)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

func runKafkaRepair(c *conn, args [][]byte) {
	limit := 0 // all
	switch {
	case len(args) == 1:
	case len(args) == 3 && is(args[1], "count"):
		n, ok := parseInt(args[2])
		if !ok || n != int64(int32(n)) {
			c.fail(notInteger)
			return
		}
		if n < 1 {
			c.fail(syntax)
			return
		}
		limit = int(n)
	default:
		c.fail(syntax)
		return
	}
	topic, srv := c.topic, c.srv
	if !topic.Writable() {
		c.failErr(cache.ErrReadOnly)
		return
	}
	if !topic.Ready() {
		c.failErr(cache.ErrNotReady)
		return
	}
	running := &srv.repairs.running[c.db]
	if !running.CompareAndSwap(false, true) {
		c.fail("ERR a repair of topic " + topic.Name() + " is under way; there is one at a time")
		return
	}
	s := c.open(c.run, 1, 0, renderRepaired)
	srv.goroutine.Go(func() {
		n, err := topic.Repair(srv.repairs.ctx, limit)
		running.Store(false)
		s.repaired(n, err)
	})
}

// repaired completes the slot of a repair.
func (s *slot) repaired(n int, err error) {
	s.mu.Lock()
	s.count, s.err = n, err
	s.mu.Unlock()
	s.told()
}

func renderRepaired(c *conn, s *slot) {
	if s.err == nil {
		c.out = resp.AppendInt(c.out, int64(s.count))
		return
	}
	text := c.errorText(c.srv.topics[s.topic], s.err)
	if errors.Is(s.err, context.Canceled) {
		text = c.errorText(c.srv.topics[s.topic], cache.ErrClosed)
	}
	c.fail(text + "; " + strconv.Itoa(s.count) + " keys were repaired before that")
}
