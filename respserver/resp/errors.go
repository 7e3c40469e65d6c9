package resp

import "fmt"

// ProtocolError is a frame that cannot be parsed. Its text is the one that Redis answers after "-ERR ".
type ProtocolError struct{ Text string }

func (e *ProtocolError) Error() string { return e.Text }

var (
	errCountString          = &ProtocolError{"Protocol error: too big mbulk count string"}
	errMultibulkLength      = &ProtocolError{"Protocol error: invalid multibulk length"}
	errUnauthenticatedCount = &ProtocolError{"Protocol error: unauthenticated multibulk length"}
	errBulkString           = &ProtocolError{"Protocol error: too big bulk count string"}
	errBulkLength           = &ProtocolError{"Protocol error: invalid bulk length"}
	errUnauthenticatedBulk  = &ProtocolError{"Protocol error: unauthenticated bulk length"}
	errInline               = &ProtocolError{"Protocol error: too big inline request"}
	errQuotes               = &ProtocolError{"Protocol error: unbalanced quotes in request"}
)

func expectedDollar(got byte) *ProtocolError {
	if got == '\r' || got == '\n' {
		got = ' ' // as in every error line
	}
	return &ProtocolError{fmt.Sprintf("Protocol error: expected '$', got '%s'", []byte{got})}
}
