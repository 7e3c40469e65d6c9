package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

var errShort = errors.New("reply is not complete")

// nextReply takes one reply of RESP2 that is no array from the start of b: its
// payload (nil for a null) and its length in b. errShort: read more first. A
// reply that is an error is returned as one. payload aliases b.
func nextReply(b []byte) (payload []byte, n int, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 1 {
		return nil, 0, errShort
	}
	line := b[1 : end-1]
	switch b[0] {
	case '+', ':':
		return line, end + 1, nil
	case '-':
		return nil, 0, fmt.Errorf("the server replied %q", line)
	case '$':
		size, err := strconv.Atoi(string(line))
		if err != nil || size < -1 {
			return nil, 0, fmt.Errorf("the server replied with length %q", line)
		}
		if size == -1 {
			return nil, end + 1, nil
		}
		n = end + 1 + size + 2
		if len(b) < n {
			return nil, 0, errShort
		}
		return b[end+1 : n-2 : n-2], n, nil
	}
	return nil, 0, fmt.Errorf("the server replied with %.40q", b)
}
