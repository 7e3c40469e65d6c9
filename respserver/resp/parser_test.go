package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

func authenticated() Limits {
	return Limits{Args: DefaultMaxArgs, Bulk: DefaultMaxBulk, Authenticated: true}
}

func words(args [][]byte) string {
	s := make([]string, len(args))
	for i, a := range args {
		s[i] = string(a)
	}
	return strings.Join(s, "|")
}

func TestFrames(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		args string
	}{
		{"*1\r\n$4\r\nPING\r\n", 14, "PING"},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\nrest", 19, "GET|"},
		{"*0\r\n", 4, ""}, {"*-1\r\nx", 5, ""}, {"*-7\r\n", 5, ""},
		{"*1\r\n$4\r\nPINGxx", 14, "PING"}, // the two bytes after a bulk are not looked at
		{"ping\r\n", 6, "ping"}, {"ping\n", 5, "ping"}, {"\r\n", 2, ""}, {"  \n", 3, ""},
		{`set  "a\x41\n" 'it''` + "\n", 0, "!Protocol error: unbalanced quotes in request"},
		{`set "a\x41\n\q" 'it\'s "' x"y"` + "\r\n", 32, "set|aA\nq|it's \"|xy"},
		{"get \"a\n", 0, "!Protocol error: unbalanced quotes in request"},
		{"a b\x00c d\n", 8, "a|b"},
		{"*1\r\n:4\r\n", 0, "!Protocol error: expected '$', got ':'"},
		{"*1\r\n\r\n", 0, "!Protocol error: expected '$', got ' '"},
		{"*x\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"*+1\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"*01\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"*\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"*-\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"* 1\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"*1048577\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"*9223372036854775807\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"*99999999999999999999\r\n", 0, "!Protocol error: invalid multibulk length"},
		{"*1\r\n$-1\r\n", 0, "!Protocol error: invalid bulk length"},
		{"*1\r\n$9223372036854775807\r\n", 0, "!Protocol error: invalid bulk length"},
		{"*1\r\n$536870913\r\n", 0, "!Protocol error: invalid bulk length"},
		{"*1\r\n$1x\r\n", 0, "!Protocol error: invalid bulk length"},
		{"*" + strings.Repeat("1", MaxInline+2), 0, "!Protocol error: too big mbulk count string"},
		{"*1\r\n$" + strings.Repeat("1", MaxInline+2), 0, "!Protocol error: too big bulk count string"},
		{strings.Repeat("x", MaxInline+1), 0, "!Protocol error: too big inline request"},
	} {
		p := NewParser(authenticated())
		n, args, err := p.Next([]byte(c.in))
		got := words(args)
		if err != nil {
			got = "!" + err.Error()
		}
		if n != c.n || got != c.args {
			t.Errorf("%.40q: %d, %q; want %d, %q", c.in, n, got, c.n, c.args)
		}
	}
}

func TestBeforeAuthentication(t *testing.T) {
	p := NewParser(Limits{Args: DefaultMaxArgs, Bulk: DefaultMaxBulk})
	for in, want := range map[string]string{
		"*11\r\n":                   "Protocol error: unauthenticated multibulk length",
		"*1\r\n$16385\r\n":          "Protocol error: unauthenticated bulk length",
		"1 2 3 4 5 6 7 8 9 10 11\n": "Protocol error: unauthenticated multibulk length",
	} {
		p = NewParser(Limits{Args: DefaultMaxArgs, Bulk: DefaultMaxBulk})
		if _, _, err := p.Next([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, args, err := p.Next(nil); args != nil || err != nil {
		t.Error("nothing is not incomplete")
	}
}

// TestAFrameInPieces feeds a frame one byte at a time: it has to cost its length, not its square.
func TestAFrameInPieces(t *testing.T) {
	var b []byte
	const n = 200_000
	b = fmt.Appendf(b, "*%d\r\n", n)
	for i := range n {
		s := fmt.Sprint(i)
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(s), s)
	}
	p := NewParser(authenticated())
	begin := time.Now()
	for i := range b {
		m, args, err := p.Next(b[:i+1])
		if err != nil || (m != 0) != (i == len(b)-1) {
			t.Fatalf("at %d: %d, %v", i, m, err)
		}
		if m != 0 && (len(args) != n || string(args[n-1]) != fmt.Sprint(n-1)) {
			t.Fatal("wrong arguments")
		}
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("%d pieces took %v", len(b), d)
	}
	p.Trim()
	if p.Size() > 64<<10 {
		t.Errorf("%d bytes are kept", p.Size())
	}
}

func TestALongLineInPieces(t *testing.T) {
	line := append(bytes.Repeat([]byte("x"), MaxInline), '\n')
	p := NewParser(authenticated())
	for i := range line {
		n, _, err := p.Next(line[:i+1])
		if err != nil || (n != 0) != (i == len(line)-1) {
			t.Fatal(i, n, err)
		}
	}
}

// FuzzParser: pieces or whole, a frame means the same; nothing panics; arguments never exceed what arrived.
func FuzzParser(f *testing.F) {
	for _, s := range []string{
		"*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "ping\r\n*0\r\nset \"a\\x41\" 'b'\n", "*1\r\n$9223372036854775807\r\n", "*1048577\r\n", "*-1\r\n$",
		"*3\r\n$1\r\na\r\n$2\r\nbb\r\n$3\r\nccc", "a\x00b\n", "*1\r\n$01\r\n",
	} {
		f.Add([]byte(s), uint64(1), true)
		f.Add([]byte(s), uint64(2), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, authenticated bool) {
		l := Limits{Args: 1000, Bulk: 1000, Authenticated: authenticated}
		whole, wholeErr := collect(t, NewParser(l), b, func(left int) int { return left })
		r := rand.New(rand.NewPCG(seed, 1))
		pieces, piecesErr := collect(t, NewParser(l), b, func(left int) int { return 1 + r.IntN(left) })
		if whole != pieces || fmt.Sprint(wholeErr) != fmt.Sprint(piecesErr) {
			t.Errorf("whole: %q, %v\npieces: %q, %v", whole, wholeErr, pieces, piecesErr)
		}
	})
}

// collect parses all of b, of which piece(left) bytes more arrive each time that the frame at hand is not complete.
func collect(t *testing.T, p *Parser, b []byte, piece func(left int) int) (string, error) {
	var out strings.Builder
	from, have := 0, 0
	for {
		n, args, err := p.Next(b[from:have])
		if err != nil {
			var pe *ProtocolError
			if !errors.As(err, &pe) || n != 0 {
				t.Fatalf("%d, %v", n, err)
			}
			return out.String(), err
		}
		if n == 0 {
			if have == len(b) {
				return out.String(), nil
			}
			have += piece(len(b) - have)
			continue
		}
		if n > have-from {
			t.Fatalf("consumed %d of %d", n, have-from)
		}
		total := 0
		for _, a := range args {
			total += len(a)
		}
		if total > n {
			t.Fatalf("%d bytes of arguments in a frame of %d", total, n)
		}
		fmt.Fprintf(&out, "%d:%q;", n, args)
		from += n
	}
}

func TestNoAllocationAFrame(t *testing.T) {
	p := NewParser(authenticated())
	b := []byte("*2\r\n$3\r\nGET\r\n$36\r\n123456789012345678901234567890123456\r\n")
	if n := testing.AllocsPerRun(1000, func() {
		if n, _, err := p.Next(b); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkNext(b *testing.B) {
	p := NewParser(authenticated())
	f := []byte("*2\r\n$3\r\nGET\r\n$36\r\n123456789012345678901234567890123456\r\n")
	for b.Loop() {
		_, _, _ = p.Next(f)
	}
}

// TestPendingIsOfTheLastArgument: what follows an argument that is not the last is not known.
func TestPendingIsOfTheLastArgument(t *testing.T) {
	for in, want := range map[string]int{
		"*2\r\n$4\r\nab":                0,
		"*2\r\n$4\r\nabcd\r\n":          0,
		"*2\r\n$4\r\nabcd\r\n$1":        0,
		"*2\r\n$4\r\nabcd\r\n$10\r\nab": 10,
		"*1\r\n$4\r\nab":                4,
	} {
		var p Parser
		p.SetLimits(Limits{Args: 10, Bulk: 100, Authenticated: true})
		if n, _, err := p.Next([]byte(in)); n != 0 || err != nil {
			t.Fatalf("%q: %d, %v", in, n, err)
		}
		if got := p.Pending(len(in)); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
	}
}

// TestManyArgumentsLeaveLittleBehind: a frame of many arguments allocates what it holds, and about as much again while it grows.
func TestManyArgumentsLeaveLittleBehind(t *testing.T) {
	const n = 200_000
	frame := []byte("*200000\r\n" + strings.Repeat("$1\r\nk\r\n", n))
	p := NewParser(Limits{Args: n, Bulk: 1, Authenticated: true})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for end := 1000; ; end = min(2*end, len(frame)) { // as a buffer grows
		_, args, err := p.Next(frame[:end])
		if err != nil || end == len(frame) && len(args) != n {
			t.Fatal(len(args), err)
		}
		if end == len(frame) {
			break
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*n*spanBytesPerArgument {
		t.Errorf("%d bytes an argument were allocated", got/n)
	}
}
