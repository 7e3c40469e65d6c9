//go:build !linux

package respserver

import (
	"errors"
	"net"
)

// canLoop: connections have a goroutine each. The rest of this file is never called.
const canLoop = false

type eventLoop struct{}

func newEventLoop(*Server) (*eventLoop, error) { return nil, errors.ErrUnsupported }

func (*eventLoop) run()                               {}
func (*eventLoop) stop()                              {}
func (*eventLoop) begin(*conn)                        {}
func (*eventLoop) post(*conn)                         {}
func (*eventLoop) forget(int32)                       {}
func (*eventLoop) take(nc net.Conn) (net.Conn, error) { return nc, nil }

type loopSocket struct {
	net.Conn
	loop *eventLoop
	slot int32
}

func (*loopSocket) release() {}
