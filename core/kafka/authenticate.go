package kafka

import (
	"context"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// authentication hands the protocol layer the credentials of one connection whenever it begins to authenticate: when the
// connection is new, and again before the time is over for which a broker lets it go on (KIP-368). That layer does both by
// itself, asks for a token each time, and has a password in its settings. So the password is put there when the request that
// every authentication begins with is about to be sent, which is in the goroutine that reads it right after.
type authentication struct {
	sasl     *SASL
	timeout  time.Duration
	settings *sarama.Config
	during   context.Context // of the exchange that the connection is used for now; set by who holds the link
}

// enable sets what the protocol layer has to know from the beginning.
func (a *authentication) enable() {
	s := &a.settings.Net.SASL
	s.Enable = true
	s.Mechanism = sarama.SASLMechanism(a.sasl.Mechanism)
	s.User = a.sasl.User
	s.Password = "*" // renew puts the right one in its place; an empty one would be refused here
	switch a.sasl.Mechanism {
	case MechanismScramSHA256:
		s.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: scram.SHA256} }
	case MechanismScramSHA512:
		s.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient {
			return &scramClient{hash: func() hash.Hash { return sha512.New() }}
		}
	case MechanismOAuthBearer:
		s.User, s.Password = "", ""
		s.TokenProvider = a
	}
}

// renew puts the password that holds now into the settings.
func (a *authentication) renew() error {
	if a.sasl.Mechanism == MechanismOAuthBearer {
		return nil
	}
	ctx, cancel := context.WithTimeout(a.during, a.timeout)
	defer cancel()
	p, err := a.sasl.password(ctx)
	if err != nil {
		return a.noSecret("password", err)
	}
	a.settings.Net.SASL.Password = p
	return nil
}

// Token is the token that holds now.
func (a *authentication) Token() (*sarama.AccessToken, error) {
	ctx, cancel := context.WithTimeout(a.during, a.timeout)
	defer cancel()
	t, err := a.sasl.TokenSource(ctx)
	if err == nil {
		err = t.Validate()
	}
	if err != nil {
		return nil, a.noSecret("token", err)
	}
	return &sarama.AccessToken{Token: t.Value, Extensions: t.Extensions}, nil
}

func (a *authentication) noSecret(what string, err error) error {
	if a.during.Err() != nil {
		return context.Cause(a.during)
	}
	// %v: the time-out may be its cause, and the caller's context has not ended.
	return fmt.Errorf("%w: no %s for SASL %s: %v", ErrUnavailable, what, a.sasl.Mechanism, err)
}

// The API keys of the requests that an authentication consists of; the first begins it (KIP-43).
const (
	saslHandshake    = 17
	saslAuthenticate = 36
)

// apiKey is that of a request as it is sent, whole; -1 where it is none.
func apiKey(request []byte) int {
	if len(request) < 6 {
		return -1
	}
	return int(binary.BigEndian.Uint16(request[4:]))
}

// explain says of an error of authentication what was tried; others stay as they are.
func (a *authentication) explain(err error) error {
	if a == nil || !isUnauthenticated(err) {
		return err
	}
	return fmt.Errorf("%w: %v: %w", ErrUnauthenticated, a.sasl, err)
}

func isUnauthenticated(err error) bool {
	return errors.Is(err, sarama.ErrSASLAuthenticationFailed) || errors.Is(err, sarama.ErrUnsupportedSASLMechanism) || errors.Is(err, sarama.ErrIllegalSASLState)
}

// scramClient is one SCRAM conversation (RFC 5802).
type scramClient struct {
	hash         scram.HashGeneratorFcn
	conversation *scram.ClientConversation
}

func (s *scramClient) Begin(user, password, authzID string) error {
	c, err := s.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	s.conversation = c.NewConversation()
	return nil
}

func (s *scramClient) Step(challenge string) (string, error) { return s.conversation.Step(challenge) }

func (s *scramClient) Done() bool { return s.conversation.Done() }
