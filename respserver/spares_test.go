package respserver

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestSpares: what is given back is taken again where it is about as large as is asked for, and what is kept is bounded, the newest of it.
func TestSpares(t *testing.T) {
	var s spares
	taken := func(n int) *byte { return &s.take(n)[0] }
	a, b := make([]byte, 64<<10), make([]byte, 100<<10)
	const most = 16 << 20
	s.give(a[:10], most, 0)
	s.give(b, most, 0)
	s.give(make([]byte, spareLeast-1), most, 0) // too small
	s.give(make([]byte, most), most, 0)         // too large
	if s.bytes != len(a)+len(b) {
		t.Fatalf("%d bytes are kept", s.bytes)
	}
	for _, n := range []int{len(a) / 2, len(a) + 1, len(b) + 1, spareLeast} {
		if p := taken(n); p == &a[0] || p == &b[0] {
			t.Errorf("%d bytes are not what there is", n)
		}
	}
	if got := s.take(len(b) - 10); &got[0] != &b[0] || len(got) != len(b) {
		t.Errorf("took %d bytes", len(got))
	}
	if taken(len(a)) != &a[0] || taken(len(a)) == &a[0] || s.bytes != 0 {
		t.Errorf("one is not taken, or twice; %d bytes are kept", s.bytes)
	}
	oldest := make([]byte, 1<<20)
	s.give(oldest, most, 0)
	for range 2 * most >> 20 {
		s.give(make([]byte, 1<<20), most, time.Second)
	}
	if s.bytes != most || len(s.all) != most>>20 {
		t.Errorf("%d bytes in %d are kept", s.bytes, len(s.all))
	}
	for range len(s.all) {
		if taken(1<<20) == &oldest[0] {
			t.Error("the oldest was kept")
		}
	}
	s.give(a, most, time.Second)
	if s.cool(time.Second + trimAfter); s.bytes == 0 {
		t.Error("let go too soon")
	}
	if s.cool(time.Second + trimAfter + 1); s.bytes != 0 || s.all != nil {
		t.Error("not let go")
	}
}

// TestBuffersAreUsedAgain: connections that make a buffer grow, one after the other, have one made and not one each; so do those that are answered much.
func TestBuffersAreUsedAgain(t *testing.T) {
	const rounds, size = 50, 4 << 20
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	round := func(f *fixture, b []byte) {
		p := f.dial()
		if _, err := p.nc.Write(b); err != nil {
			t.Fatal(err)
		}
		_ = p.tcp().CloseWrite()
		_, _ = io.Copy(io.Discard, p.nc)
		_ = p.nc.Close()
		eventually(t, "its end", func() bool { return f.srv.connected() == 0 })
	}
	for name, s := range map[string]string{
		"a part of an argument": "*2\r\n$4\r\nECHO\r\n$500000000\r\n" + strings.Repeat("x", size),
		"replies":               frame("echo", strings.Repeat("x", size)),
	} {
		f := start(t, nil)
		b := []byte(s)
		round(f, b)
		before := allocated()
		for range rounds {
			round(f, b)
		}
		if n := allocated() - before; n > 2*rounds*size { // of five times that; what has not been used for a while is given up, so that it depends on how busy the machine is
			t.Errorf("%s: %d MB were allocated by %d connections with %d MB each", name, n>>20, rounds, size>>20)
		}
	}
}
