package peers

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
)

// Reasons why a peer cannot be asked.
const (
	reasonAuth     = "auth"
	reasonTLS      = "tls"
	reasonDNS      = "dns"
	reasonCluster  = "cluster"
	reasonConnect  = "connect"
	reasonTimeout  = "timeout"
	reasonProtocol = "protocol"
	reasonRefused  = "refused"
	reasonClosed   = "closed"
	reasonConfig   = "configuration"
)

// Reasons are all of them, so that each can exist as 0.
func Reasons() []string {
	return []string{reasonAuth, reasonTLS, reasonDNS, reasonCluster, reasonConnect, reasonTimeout, reasonProtocol, reasonRefused, reasonClosed, reasonConfig}
}

type stage struct {
	reason string
	err    error
}

func (e *stage) Error() string { return e.err.Error() }
func (e *stage) Unwrap() error { return e.err }

func reasonOf(err error) string {
	var (
		at      *stage
		said    replyError
		dns     *net.DNSError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		netErr  net.Error
		op      *net.OpError
	)
	switch {
	case errors.As(err, &said):
		word, _, _ := strings.Cut(string(said), " ")
		if slices.Contains([]string{"NOAUTH", "WRONGPASS", "NOPERM"}, word) || strings.Contains(string(said), "AUTH ") {
			return reasonAuth
		}
		return reasonRefused
	case errors.As(err, &dns):
		return reasonDNS
	case errors.As(err, &at):
		return at.reason
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &op) && op.Op == "remote error": // a TLS alert, which may come after the handshake
		return reasonTLS
	case errors.Is(err, errReply):
		return reasonProtocol
	case errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return reasonTimeout
	}
	return reasonClosed
}
