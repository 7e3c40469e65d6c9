package resp

import (
	"bytes"
	"math"
	"slices"
)

// Redis's limits (networking.c and config.c): PROTO_INLINE_MAX_SIZE, proto-max-bulk-len, and those of a client that has yet
// to authenticate.
const (
	MaxInline            = 64 << 10
	DefaultMaxBulk       = 512 << 20
	DefaultMaxArgs       = 1 << 20
	UnauthenticatedArgs  = 10
	UnauthenticatedBulk  = 16 << 10
	keptSpans            = 1024
	maxLengthDigits      = 20 // of an int64 with its sign
	spanBytesPerArgument = 40 // a span and a slice header
)

// Limits bound what a peer can make the parser accept.
type Limits struct {
	Args          int  // arguments of one command
	Bulk          int  // bytes of one argument
	Authenticated bool // false: UnauthenticatedArgs and UnauthenticatedBulk hold, with texts of their own
}

// Parser parses the commands of one connection, in place and resumably: a frame that arrives in n pieces costs its length plus
// n, not their product. It is not safe for concurrent use.
type Parser struct {
	limits Limits

	// The state of a frame that is not complete; offsets count from its first byte.
	at      int    // where to go on
	missing int    // arguments still to come; 0: the first line has not been read
	bulk    int    // length of the argument at hand; -1: its line has not been read
	spans   []span // arguments so far

	args    [][]byte
	scratch []byte // unescaped inline arguments
}

type span struct{ start, end int }

// NewParser makes a Parser under limits.
func NewParser(l Limits) *Parser { return &Parser{limits: l, bulk: -1} }

// SetLimits holds from the next frame on.
func (p *Parser) SetLimits(l Limits) { p.limits = l }

// Next parses the frame that buf begins with.
//
// A complete frame: its length and its arguments, which may be none (Redis ignores such frames). They alias buf or the parser
// and are valid until the next call. A frame that is not complete: 0, nil, nil; the next call must begin with the same bytes, and more.
// Calling Next again with the same complete frame parses it again. An error is a *[ProtocolError], after which the connection
// has to be closed since nothing tells where the next frame begins.
func (p *Parser) Next(buf []byte) (n int, args [][]byte, err error) {
	if len(buf) == 0 {
		return 0, nil, nil
	}
	if buf[0] != '*' {
		return p.inline(buf)
	}
	if p.missing == 0 {
		count, next, err := p.length(buf, 1, "mbulk")
		if err != nil || next == 0 {
			return 0, nil, err
		}
		switch {
		case count > int64(p.limits.Args):
			return 0, nil, errMultibulkLength
		case count <= 0:
			p.args = p.args[:0]
			return next, p.args, nil
		case !p.limits.Authenticated && count > UnauthenticatedArgs:
			return 0, nil, errUnauthenticatedCount
		}
		p.at, p.missing, p.bulk, p.spans = next, int(count), -1, p.spans[:0]
	}
	for p.missing > 0 {
		if p.bulk < 0 {
			if p.at >= len(buf) {
				return 0, nil, nil
			}
			if buf[p.at] != '$' {
				return 0, nil, notBulk(buf[p.at:])
			}
			size, next, err := p.length(buf, p.at+1, "bulk")
			if err != nil || next == 0 {
				return 0, nil, err
			}
			if size < 0 || size > int64(p.limits.Bulk) {
				return 0, nil, errBulkLength
			}
			if !p.limits.Authenticated && size > UnauthenticatedBulk {
				return 0, nil, errUnauthenticatedBulk
			}
			p.at, p.bulk = next, int(size)
		}
		if len(buf)-p.at < p.bulk+2 {
			return 0, nil, nil
		}
		if len(p.spans) == cap(p.spans) { // by doubling: append leaves several times as much behind
			p.spans = slices.Grow(p.spans, max(min(len(p.spans), p.missing), 8))
		}
		p.spans = append(p.spans, span{p.at, p.at + p.bulk})
		p.at += p.bulk + 2
		p.bulk = -1
		p.missing--
	}
	if cap(p.args) < len(p.spans) {
		p.args = make([][]byte, 0, cap(p.spans))
	}
	p.args = p.args[:0]
	for _, s := range p.spans {
		p.args = append(p.args, buf[s.start:s.end:s.end])
	}
	n, p.at = p.at, 0
	return n, p.args, nil
}

// notBulk is the error of a line that does not begin an argument; nil until the line has ended, as in Redis.
func notBulk(line []byte) error {
	switch end := bytes.IndexByte(line[:min(len(line), MaxInline+1)], '\r'); {
	case end < 0 && len(line) > MaxInline:
		return errBulkString
	case end < 0 || end+1 >= len(line):
		return nil
	}
	return expectedDollar(line[0])
}

// Pending is how many bytes more the frame at hand needs, given that have bytes of it have arrived: what is worth making room for once most of it
// is here. It is 0 where that is not known, which it is only within the last argument: room for one of a million small ones would be made a million times, and all that
// is here copied each time.
func (p *Parser) Pending(have int) int {
	if p.missing != 1 || p.bulk < 0 {
		return 0
	}
	return max(0, p.at+p.bulk+2-have)
}

// Size is how many bytes of memory the parser holds for itself.
func (p *Parser) Size() int { return cap(p.spans)*spanBytesPerArgument + cap(p.scratch) }

// Trim gives back what a frame with many arguments made the parser hold. The arguments of the last frame are no longer valid.
func (p *Parser) Trim() {
	if p.missing == 0 && cap(p.spans) > keptSpans {
		p.spans = nil
	}
	if cap(p.args) > keptSpans {
		p.args = nil
	}
	if cap(p.scratch) > MaxInline/4 {
		p.scratch = nil
	}
}

// length parses the decimal number at buf[at:] that ends in CR and one more byte. next is what follows, or 0 where the line has
// not fully arrived. what is "mbulk" or "bulk".
func (p *Parser) length(buf []byte, at int, what string) (n int64, next int, err error) {
	i, negative := at, false
	if i < len(buf) && buf[i] == '-' {
		negative = true
		i++
	}
	first := i
	for ; i < len(buf); i++ {
		d := buf[i] - '0'
		if d > 9 || i-at >= maxLengthDigits {
			break
		}
		if n > (math.MaxInt64-int64(d))/10 {
			break
		}
		n = n*10 + int64(d)
	}
	if i+1 < len(buf) && buf[i] == '\r' && i > first && (buf[first] != '0' || (i == first+1 && !negative)) {
		if negative {
			n = -n
		}
		return n, i + 2, nil
	}
	// Incomplete or wrong; Redis says which only when the line has ended.
	line := buf[min(at, len(buf)):]
	end := bytes.IndexByte(line[:min(len(line), MaxInline+1)], '\r')
	switch {
	case end < 0 && len(line) > MaxInline && what == "mbulk":
		return 0, 0, errCountString
	case end < 0 && len(line) > MaxInline:
		return 0, 0, errBulkString
	case end < 0 || end+1 >= len(line):
		return 0, 0, nil
	case what == "mbulk":
		return 0, 0, errMultibulkLength
	}
	return 0, 0, errBulkLength
}
