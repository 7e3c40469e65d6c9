package respserver

import (
	"context"

	"github.com/yolean/kafka-cache/core/cache"
	"github.com/yolean/kafka-cache/core/position"
)

// How commands read: the connection's topic as it is now, or within EXEC what that reads.

func (c *conn) get(dst, key []byte) ([]byte, bool, error) {
	if c.exec != nil {
		return c.exec.get(dst, key)
	}
	return c.topic.AppendGet(dst, key)
}

func (c *conn) valueLen(key []byte) (int, bool, error) {
	if c.exec != nil {
		return c.exec.valueLen(key)
	}
	return c.topic.ValueLen(key)
}

func (c *conn) meta(key []byte) (cache.Meta, error) {
	if c.exec != nil {
		return c.exec.meta(key)
	}
	return c.topic.Meta(key)
}

func (c *conn) scan(cursor uint64, count int, fn func(key []byte)) (uint64, error) {
	if c.exec != nil {
		return c.exec.scan(cursor, count, fn)
	}
	return c.topic.Scan(cursor, count, fn)
}

// size is the number of keys.
func (c *conn) size() (int64, error) {
	if c.exec != nil {
		return c.exec.size()
	}
	if err := c.topic.WaitResident(context.Background()); err != nil {
		return 0, err
	}
	return c.topic.Len(), nil
}

func (c *conn) randomKey(dst []byte) ([]byte, bool, error) {
	if c.exec != nil {
		return c.exec.randomKey(dst)
	}
	return c.topic.RandomKey(dst)
}

// rangeKeys calls fn for the keys from lower to below upper, in the order of their bytes.
func (c *conn) rangeKeys(lower, upper []byte, fn func(key []byte) bool) error {
	if c.exec != nil {
		return c.exec.rangeKeys(lower, upper, fn)
	}
	return c.topic.Range(context.Background(), lower, upper, func(e cache.Entry) bool { return fn(e.Key) })
}

func (c *conn) position() (position.Position, error) {
	if c.exec != nil {
		return c.exec.position()
	}
	return c.topic.Position(), nil
}
