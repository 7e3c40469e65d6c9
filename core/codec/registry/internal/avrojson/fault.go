package avrojson

import (
	"fmt"
	"strconv"
	"strings"
)

// Fault says where an input is not what the schema asks for.
type Fault struct {
	Offset int // bytes before it
	reason string
	path   []step // inside out
}

// step is one part of a path: a field or a key, or an index where it has no name.
type step struct {
	name  string
	index int
}

func fault(offset int, format string, args ...any) *Fault {
	return &Fault{Offset: offset, reason: fmt.Sprintf(format, args...)}
}

// maxSteps bounds how much of a path is told; it is the innermost part.
const maxSteps = 8

// within notes what the fault is in.
func (f *Fault) within(s step) *Fault {
	if len(f.path) <= maxSteps {
		f.path = append(f.path, s)
	}
	return f
}

// Reason is one line of bounded length, with the path in front: "address.lines[2]: …".
func (f *Fault) Reason() string {
	var b strings.Builder
	path := f.path
	if len(path) > maxSteps {
		b.WriteString("…")
		path = path[:maxSteps]
	}
	for i := len(path) - 1; i >= 0; i-- {
		switch s := path[i]; {
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + clipped(s.name))
		default:
			b.WriteString(clipped(s.name))
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	return b.String() + f.reason
}

func (f *Fault) Error() string { return fmt.Sprintf("at byte %d: %s", f.Offset, f.Reason()) }

// clipped is what is shown of a name or value that may be of any length.
func clipped(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
