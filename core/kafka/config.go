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
	// TLSSource, where it is set, is asked for the configuration instead, at each new connection, so that certificates that were
	// renewed are used without a restart. It is called from several goroutines at a time, and should not wait for anything slow.
	TLSSource func() (*tls.Config, error)
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
	if c.TLS != nil && c.TLSSource != nil {
		return fmt.Errorf("%w: TLS: both a configuration and a source of it", ErrConfig)
	}
	return c.SASL.validate()
}

// tls is the configuration for a new connection, nil where there is none.
func (c *Config) tls() (*tls.Config, error) {
	if c.TLSSource == nil {
		return c.TLS, nil
	}
	t, err := c.TLSSource()
	if err == nil && t == nil {
		err = errors.New("no configuration came back")
	}
	return t, err
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
