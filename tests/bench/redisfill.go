package main

import "context"

// redisFill writes the entries to a redis-server.
type redisFill struct {
	Addr    string
	Entries int
}

func fillRedis(_ context.Context, o redisFill) (struct{}, error) {
	c, err := dialRESP(o.Addr)
	if err != nil {
		return struct{}{}, err
	}
	defer c.close()
	const batch = 200
	var key, value []byte
	for i := 0; i < o.Entries; {
		n := min(batch, o.Entries-i)
		for range n {
			key, value = appendKey(key[:0], uint64(i)), appendValue(value[:0], uint64(i), 0)
			c.queue([]byte("SET"), key, value)
			i++
		}
		if err := c.flush(); err != nil {
			return struct{}{}, err
		}
		for range n {
			if _, err := c.reply(); err != nil {
				return struct{}{}, err
			}
		}
	}
	return struct{}{}, nil
}
