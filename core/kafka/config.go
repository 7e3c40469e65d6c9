package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
)

// Config says how to reach a cluster. The zero value of a field means its default; Bootstrap has none.
type Config struct {
	// Bootstrap are the brokers to ask first, each as host:port.
	Bootstrap []string
	// ClientID is what brokers see in their request logs and quotas. Default "kafka-cache".
	ClientID string
	// TLS is the configuration of encrypted connections; nil means plaintext. It is cloned for each connection, and a
	// ServerName that is empty becomes the broker's host.
	TLS *tls.Config
	// SASL are the credentials; nil means none.
	SASL *SASL
	// DialTimeout bounds a connection's set-up, TLS included. Default 2 s.
	DialTimeout time.Duration
	// ReadTimeout bounds the silence of a broker that owes a response. It must be longer than MaxWait. Default 3 s.
	ReadTimeout time.Duration
	// MaxWait is how long a broker holds a fetch back while there are no records. Default 500 ms.
	MaxWait time.Duration
	// RefreshInterval is how often leaders, new partitions and the topic's id are asked for. Default 5 s.
	RefreshInterval time.Duration
	// Logger gets what is neither an error that a call returns nor one that a callback is told: leader changes, new
	// partitions. nil means silence.
	Logger *slog.Logger
}

// The defaults of [Config].
const (
	DefaultClientID        = "kafka-cache"
	DefaultDialTimeout     = 2 * time.Second
	DefaultReadTimeout     = 3 * time.Second
	DefaultMaxWait         = 500 * time.Millisecond
	DefaultRefreshInterval = 5 * time.Second
)

// Validate reports the first setting that cannot work, naming it and its value. Its errors wrap [ErrConfig]. It touches no
// network.
func (c *Config) Validate() error {
	if len(c.Bootstrap) == 0 {
		return fmt.Errorf("%w: bootstrap: no address given", ErrConfig)
	}
	for _, a := range c.Bootstrap {
		if err := validateAddress(a); err != nil {
			return fmt.Errorf("%w: bootstrap address %q: %w", ErrConfig, a, err)
		}
	}
	if strings.ContainsFunc(c.ClientID, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(c.ClientID) > 1<<10 {
		return fmt.Errorf("%w: client id %q: at most 1024 bytes without control characters", ErrConfig, c.ClientID)
	}
	d := c.withDefaults()
	for _, t := range []struct {
		name  string
		value time.Duration
		least time.Duration
	}{
		{"dial timeout", d.DialTimeout, time.Millisecond},
		{"read timeout", d.ReadTimeout, time.Millisecond},
		{"max wait", d.MaxWait, time.Millisecond},
		{"refresh interval", d.RefreshInterval, 10 * time.Millisecond},
	} {
		if t.value < t.least {
			return fmt.Errorf("%w: %s: %v is less than %v", ErrConfig, t.name, t.value, t.least)
		}
	}
	if d.ReadTimeout <= d.MaxWait {
		return fmt.Errorf("%w: read timeout: %v is not longer than max wait, %v", ErrConfig, d.ReadTimeout, d.MaxWait)
	}
	return c.SASL.validate()
}

func validateAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		var addrErr *net.AddrError
		if errors.As(err, &addrErr) {
			return fmt.Errorf("%s; want host:port", addrErr.Err)
		}
		return fmt.Errorf("want host:port: %w", err)
	}
	if host == "" {
		return errors.New("the host is empty")
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("/,@?#\x7f", r) }) {
		return fmt.Errorf("%q is not a host name or an IP address", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.ClientID == "" {
		c.ClientID = DefaultClientID
	}
	setDefault(&c.DialTimeout, DefaultDialTimeout)
	setDefault(&c.ReadTimeout, DefaultReadTimeout)
	setDefault(&c.MaxWait, DefaultMaxWait)
	setDefault(&c.RefreshInterval, DefaultRefreshInterval)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// SASL are credentials (RFC 4422). They print without the password.
type SASL struct {
	// Mechanism is PLAIN (RFC 4616), SCRAM-SHA-256 or SCRAM-SHA-512 (RFC 5802, RFC 7677). PLAIN sends the password as it
	// is: use it with TLS.
	Mechanism string
	User      string
	Password  string
}

// The mechanisms that [SASL] knows.
const (
	MechanismPlain       = "PLAIN"
	MechanismScramSHA256 = "SCRAM-SHA-256"
	MechanismScramSHA512 = "SCRAM-SHA-512"
)

func (s *SASL) validate() error {
	if s == nil {
		return nil
	}
	switch s.Mechanism {
	case MechanismPlain, MechanismScramSHA256, MechanismScramSHA512:
	default:
		return fmt.Errorf("%w: SASL mechanism %q: want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", ErrConfig, s.Mechanism)
	}
	if s.User == "" {
		return fmt.Errorf("%w: SASL user: empty", ErrConfig)
	}
	if s.Password == "" {
		return fmt.Errorf("%w: SASL password: empty", ErrConfig)
	}
	return nil
}

// String names the mechanism and the user, never the password.
func (s SASL) String() string { return fmt.Sprintf("%s user %q password ***", s.Mechanism, s.User) }

// GoString is String, so that %#v hides the password too.
func (s SASL) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, so that no encoder writes the password.
func (s SASL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
