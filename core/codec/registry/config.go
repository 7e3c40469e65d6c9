package registry

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

// Config says how to reach a registry. The zero value of a field means its default; URLs has none.
type Config struct {
	// URLs are the registry's addresses, http or https, without user and password. The next is asked where one cannot be connected to.
	URLs []string
	// User and Password are for HTTP basic authentication; empty: none.
	User, Password string
	// TLS is for https; nil: the system's certificates.
	TLS *tls.Config
	// Timeout bounds one request, its reply included. Default 5 s.
	Timeout time.Duration
	// Refresh is how often the latest schema of a subject that is written to is asked for. Default 30 s.
	Refresh time.Duration
	// MissingGrace is for how long the registry has to say that it does not have an id until that is believed: a node of it that is not the leader
	// lags behind what a producer has just registered. Default 5 s.
	MissingGrace time.Duration
	// MissingFor is how long an id is then taken not to exist, before it is asked for again. Default 1 min.
	MissingFor time.Duration
	// Logger gets changes of the latest schemas and failures to look them up. nil means silence.
	Logger *slog.Logger
}

// The defaults of [Config].
const (
	DefaultTimeout      = 5 * time.Second
	DefaultRefresh      = 30 * time.Second
	DefaultMissingGrace = 5 * time.Second
	DefaultMissingFor   = time.Minute
)

// ErrConfig is wrapped by every error that another configuration would mend.
var ErrConfig = errors.New("registry: configuration")

// Validate reports the first setting that cannot work. It touches no network, and its errors hold no secrets.
func (c *Config) Validate() error {
	if len(c.URLs) == 0 {
		return fmt.Errorf("%w: no address given", ErrConfig)
	}
	for _, address := range c.URLs {
		if err := CheckURL(address); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	if (c.User == "") != (c.Password == "") {
		return fmt.Errorf("%w: a user and a password need each other", ErrConfig)
	}
	for name, d := range map[string]time.Duration{"Timeout": c.Timeout, "Refresh": c.Refresh, "MissingGrace": c.MissingGrace, "MissingFor": c.MissingFor} {
		if d < 0 {
			return fmt.Errorf("%w: %s is negative", ErrConfig, name)
		}
	}
	return nil
}

// CheckURL is nil where a registry can have that address. Its error does not quote what may be a password.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return errors.New("an address of the schema registry is not a URL")
	case u.User != nil:
		return errors.New("an address of the schema registry has a user or password in it: they are given apart from it")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Hostname() == "":
		return fmt.Errorf("%.64q is not an http or https URL of a schema registry", address)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%.64q: the URL of a schema registry has neither a query nor a fragment", address)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Refresh = cmp.Or(c.Refresh, DefaultRefresh)
	c.MissingGrace = cmp.Or(c.MissingGrace, DefaultMissingGrace)
	c.MissingFor = cmp.Or(c.MissingFor, DefaultMissingFor)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
