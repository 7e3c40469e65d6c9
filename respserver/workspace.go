package respserver

import (
	"time"

	"github.com/yolean/kafka-cache/respserver/resp"
)

// workspace is what a connection needs only while it runs commands: buffers, the parser, and the run of commands that is being timed. It is
// taken from a pool when bytes have arrived and given back before the connection waits, unless part of a frame or of a reply is in
// it. So there are about as many as connections that run at one moment, their memory stays in the processor's caches, and a
// connection that waits holds none.
type workspace struct {
	in     []byte // in[r:w] has arrived and is not parsed
	r, w   int
	parser *resp.Parser

	out       []byte // replies after the last slot; the only place that commands append to
	wire      []byte // replies before the first slot, to be sent
	scratch   []byte
	headerLen int      // of the last bulk that was read
	name      [32]byte // the last command name as it was sent, for lookup
	nameLen   int
	nameCmd   *command

	// The run of equal commands that is being timed.
	run      *command
	runStart time.Duration
	runCount int
	runTimes bool // some of them were timed by themselves
	hits     uint64
	misses   uint64
}

func newWorkspace() any {
	return &workspace{in: make([]byte, firstBuffer), parser: resp.NewParser(resp.Limits{})}
}

// enter makes sure that the connection has a workspace.
func (c *conn) enter() {
	if c.workspace == nil {
		c.workspace = c.srv.workspaces.Get().(*workspace)
		c.parser.SetLimits(c.limits())
	}
}

// leave gives the workspace back where there is nothing in it.
func (c *conn) leave() {
	w := c.workspace
	if w == nil || w.r != w.w || len(w.out) > 0 || len(w.wire) > 0 || w.run != nil {
		return
	}
	c.workspace = nil
	w.r, w.w = 0, 0
	w.trim(hugeBuffer, c.srv)
	if len(w.in) < firstBuffer {
		w.in = make([]byte, firstBuffer)
	}
	c.srv.workspaces.Put(w)
}

// drop gives back all that the connection has, which is gone.
func (c *conn) drop() {
	if w := c.workspace; w != nil {
		c.srv.spare(w.in, w.out, w.wire, w.scratch)
		c.workspace = nil
	}
}

// trim gives back buffers that are larger than limit and empty.
func (w *workspace) trim(limit int, s *Server) {
	if w.r == w.w && len(w.in) > limit {
		s.spare(w.in)
		w.in, w.r, w.w = nil, 0, 0
		w.parser.Trim()
	}
	if len(w.out) == 0 && cap(w.out) > limit {
		s.spare(w.out)
		w.out = nil
	}
	if len(w.wire) == 0 && cap(w.wire) > limit {
		s.spare(w.wire)
		w.wire = nil
	}
	if cap(w.scratch) > limit {
		s.spare(w.scratch)
		w.scratch = nil
	}
	if limit < hugeBuffer || w.parser.Size() > keptBuffer {
		w.parser.Trim()
	}
}

// size is how many bytes it holds.
func (w *workspace) size() int {
	return len(w.in) + cap(w.out) + cap(w.wire) + cap(w.scratch) + w.parser.Size()
}

func (c *conn) limits() resp.Limits {
	return resp.Limits{Args: resp.DefaultMaxArgs, Bulk: c.srv.cfg.MaxBulk, Authenticated: c.authenticated}
}
