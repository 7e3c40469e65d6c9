package peers

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// Version is that of the answer to KAFKA.APPLIED.
const Version = 1

// Config is what a [Set] is made from.
type Config struct {
	// Addrs are host:port, or dns:name:port: every address of the name, looked up again and again.
	Addrs []string
	// Instance is this instance's own id, by which it is recognised among its peers. Required.
	Instance string
	// Identity names this instance to its peers.
	Identity string
	// Cluster is the id of the Kafka cluster, empty while it is not known. Required.
	Cluster func() string
	// Topics are the names of the topics that can be waited for; what peers tell of others is dropped.
	Topics []string
	// User and Password are for AUTH; Password is asked for at each connection, nil: none is sent.
	User     string
	Password func() ([]byte, error)
	// TLS is asked for at each connection; nil: none is spoken. Without a ServerName it is the address's.
	TLS func() (*tls.Config, error)
	// Lookup resolves a name, nil: the system's resolver.
	Lookup Lookup
	// Refresh is how often names are looked up, 5 s; Heartbeat how long a question is left unanswered at most, 1 s; a peer that does not answer for three
	// of them is disconnected.
	Refresh, Heartbeat time.Duration
	// Logger gets what operators should know; nil: none.
	Logger *slog.Logger
}

const (
	maxPeers       = 1024
	dialTimeout    = 2 * time.Second
	backoffMin     = 100 * time.Millisecond
	backoffMax     = 5 * time.Second
	questionPause  = time.Millisecond // between an answer and the next question, so that what a peer applies meanwhile is told together
	refreshDefault = 5 * time.Second
	heartbeatDef   = time.Second
)

func (c Config) withDefaults() Config {
	c.Refresh = cmp.Or(c.Refresh, refreshDefault)
	c.Heartbeat = cmp.Or(c.Heartbeat, heartbeatDef)
	c.User = cmp.Or(c.User, "default")
	if c.Lookup == nil {
		c.Lookup = net.DefaultResolver.LookupHost
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// source is one of Config.Addrs.
type source struct{ host, port, text string }

// parseAddr parses one of Config.Addrs.
func parseAddr(s string) (a source, dns bool, err error) {
	rest, dns := strings.CutPrefix(s, "dns:")
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || strings.ContainsAny(host, "/ \t@") {
		return a, dns, fmt.Errorf("%.128q is neither host:port nor dns:name:port", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return a, dns, fmt.Errorf("%.128q: %.32q is not a port number from 1 to 65535", s, port)
	}
	return source{host, port, s}, dns, nil
}

// CheckAddr says what is wrong with one of Config.Addrs.
func CheckAddr(s string) error {
	_, _, err := parseAddr(s)
	return err
}

var errStopped = errors.New("stopped")
