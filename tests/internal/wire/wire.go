// Package wire is the Redis protocol as bytes, for tests that compare what is sent and answered.
package wire

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Frame is a command as clients send it.
func Frame(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// Reply reads one whole reply, in RESP2 or RESP3, as it is on the wire.
func Reply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return line, err
	}
	if len(line) < 3 {
		return line, fmt.Errorf("%q is no reply", line)
	}
	n, _ := strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return line, nil
		}
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return line + string(b), err
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		var s strings.Builder
		s.WriteString(line)
		for range n {
			element, err := Reply(r)
			s.WriteString(element)
			if err != nil {
				return s.String(), err
			}
		}
		return s.String(), nil
	case '+', '-', ':', '_', '#', ',', '(':
		return line, nil
	}
	return line, fmt.Errorf("%q is no reply", line)
}
