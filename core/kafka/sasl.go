package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
)

// SASL are credentials (RFC 4422). They print without the password.
type SASL struct {
	// Mechanism is PLAIN (RFC 4616), SCRAM-SHA-256 or SCRAM-SHA-512 (RFC 5802, RFC 7677), or OAUTHBEARER (RFC 7628, KIP-255).
	// PLAIN and OAUTHBEARER send the secret as it is: use them with TLS.
	Mechanism string
	// User is whose password it is. OAUTHBEARER has none: a token says by itself whose it is.
	User     string
	Password string
	// PasswordSource, where it is set, is asked for the password instead. It is called at each new connection, and whenever a
	// broker wants a connection to authenticate again (KIP-368), so that a password that was replaced is used without a
	// restart. It is called from several goroutines at a time; its context ends after [Config.DialTimeout] at the latest.
	PasswordSource func(context.Context) (string, error)
	// TokenSource is asked for the token of OAUTHBEARER, as PasswordSource is for a password.
	TokenSource func(context.Context) (Token, error)
}

// The mechanisms that [SASL] knows.
const (
	MechanismPlain       = "PLAIN"
	MechanismScramSHA256 = "SCRAM-SHA-256"
	MechanismScramSHA512 = "SCRAM-SHA-512"
	MechanismOAuthBearer = "OAUTHBEARER"
)

// Token is what OAUTHBEARER shows a broker. It prints without its value.
type Token struct {
	Value      string            // as it is sent: for Kafka a JSON Web Token in its compact form, as a rule
	Extensions map[string]string // more that the broker wants to know (KIP-342); nil: nothing
}

func (s *SASL) validate() error {
	if s == nil {
		return nil
	}
	switch s.Mechanism {
	case MechanismPlain, MechanismScramSHA256, MechanismScramSHA512:
	case MechanismOAuthBearer:
		switch {
		case s.TokenSource == nil:
			return fmt.Errorf("%w: SASL OAUTHBEARER: no token source", ErrConfig)
		case s.User != "" || s.Password != "" || s.PasswordSource != nil:
			return fmt.Errorf("%w: SASL OAUTHBEARER: has a token, and neither a user nor a password", ErrConfig)
		}
		return nil
	default:
		return fmt.Errorf("%w: SASL mechanism %q: want PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER", ErrConfig, s.Mechanism)
	}
	switch {
	case s.User == "":
		return fmt.Errorf("%w: SASL user: empty", ErrConfig)
	case s.Password == "" && s.PasswordSource == nil:
		return fmt.Errorf("%w: SASL password: empty", ErrConfig)
	case s.Password != "" && s.PasswordSource != nil:
		return fmt.Errorf("%w: SASL password: both a password and a source of it", ErrConfig)
	case s.TokenSource != nil:
		return fmt.Errorf("%w: SASL %s: has a password, and no token", ErrConfig, s.Mechanism)
	}
	return nil
}

// password is what the connection authenticates with now.
func (s *SASL) password(ctx context.Context) (string, error) {
	if s.PasswordSource == nil {
		return s.Password, nil
	}
	p, err := s.PasswordSource(ctx)
	if err == nil && p == "" {
		err = errors.New("it is empty")
	}
	return p, err
}

// What RFC 6750 lets a token consist of, and RFC 7628 an extension. Anything else could be read as another part of the message.
var (
	tokenValue     = regexp.MustCompile(`^[-._~+/A-Za-z0-9]+=*$`)
	extensionName  = regexp.MustCompile(`^[A-Za-z]+$`)
	extensionValue = regexp.MustCompile(`^[\x21-\x7E \t\r\n]+$`)
)

// Validate reports what a broker would not take for a token, without quoting it.
func (t Token) Validate() error {
	if !tokenValue.MatchString(t.Value) {
		return errors.New("not a bearer token: one or more of A-Z, a-z, 0-9 and -._~+/, and = at the end (RFC 6750)")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Extensions)) {
		if !extensionName.MatchString(name) || name == "auth" || !extensionValue.MatchString(t.Extensions[name]) {
			return fmt.Errorf("extension %.64q: want a name of letters, other than auth, and a printable value (RFC 7628)", name)
		}
	}
	return nil
}

// String names the mechanism and the user, never the password.
func (s SASL) String() string {
	if s.Mechanism == MechanismOAuthBearer {
		return s.Mechanism + " token ***"
	}
	return fmt.Sprintf("%s user %q password ***", s.Mechanism, s.User)
}

// GoString is String, so that %#v hides the password too.
func (s SASL) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s SASL) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, so that no encoder writes the password.
func (s SASL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String names the extensions, never the token.
func (t Token) String() string {
	return fmt.Sprintf("token *** extensions %q", slices.Sorted(maps.Keys(t.Extensions)))
}

// GoString is String, so that %#v hides the token too.
func (t Token) GoString() string { return t.String() }

// LogValue is String, for slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText is String, so that no encoder writes the token.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
