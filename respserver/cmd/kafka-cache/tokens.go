package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/config"
)

const (
	// tokenTimeout bounds one request for a token.
	tokenTimeout = 10 * time.Second
	// tokenRetry is how long a token endpoint is left alone after it has failed, however many connections want a token.
	tokenRetry = time.Second
	// tokenRenewal is the part of a token's life after which the next is asked for. Brokers have a connection authenticate again when at least 85 %
	// of it are over.
	tokenRenewal = 0.8
)

// tokenClient gets tokens for Kafka by OAuth 2.0's client credentials grant. One request is under way at a time, for all who wait. A token is used
// until most of its life is over, and to its end while no other can be had.
type tokenClient struct {
	cfg    config.OAuth
	grant  clientcredentials.Config // used by the request that is under way; it keeps which way of showing the secret the endpoint takes
	secret *renewed[string]
	tls    *renewed[*tls.Config]
	log    *slog.Logger

	requests *prometheus.CounterVec
	base     context.Context
	end      context.CancelFunc
	asking   sync.WaitGroup

	mu        sync.Mutex
	token     string
	renewAt   time.Time
	expiry    time.Time     // of token
	under     chan struct{} // closed when the request that is under way has ended; nil: none is
	err       error         // of the last request
	notBefore time.Time     // of the next
}

func newTokenClient(cfg config.OAuth, r *renewal, log *slog.Logger) (*tokenClient, error) {
	c := &tokenClient{cfg: cfg, log: log, grant: clientcredentials.Config{ClientID: cfg.ClientID, TokenURL: cfg.TokenURL, Scopes: cfg.Scope}, requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_cache_kafka_token_requests_total",
		Help: "Requests for a token at the endpoint of --kafka-sasl-oauth-token-url, by result (ok, failed)."}, []string{"result"})}
	for _, result := range []string{"ok", "failed"} {
		c.requests.WithLabelValues(result)
	}
	c.base, c.end = context.WithCancel(context.Background())
	var err error
	if c.secret, err = renew(r, "client-secret", func() (string, error) { return clientSecret(cfg) }, cfg.ClientSecretFile); err != nil {
		return nil, err
	}
	if c.tls, err = renew(r, "token-tls", func() (*tls.Config, error) { return tokenTLS(cfg) }, cfg.CA); err != nil {
		return nil, err
	}
	return c, nil
}

// get is a token that is still good, as far as its endpoint said. Where there is one, who waits for a newer one gets that when ctx ends.
func (c *tokenClient) get(ctx context.Context) (string, error) {
	c.mu.Lock()
	now := time.Now()
	if c.token != "" && now.Before(c.renewAt) || now.Before(c.notBefore) {
		defer c.mu.Unlock()
		return c.usable(now)
	}
	if c.under == nil {
		c.under = make(chan struct{})
		c.asking.Go(c.ask)
	}
	done := c.under
	c.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.token == "" {
		return "", fmt.Errorf("%s has not answered yet: %w", c.cfg.TokenURL, context.Cause(ctx))
	}
	return c.usable(time.Now())
}

// usable is the token, where it has not expired. Who calls it holds mu.
func (c *tokenClient) usable(now time.Time) (string, error) {
	switch {
	case c.token != "" && now.Before(c.expiry):
		return c.token, nil
	case c.err != nil:
		return "", c.err
	}
	return "", errors.New("the token from " + c.cfg.TokenURL + " has expired, and there is no other yet")
}

func (c *tokenClient) ask() {
	ctx, cancel := context.WithTimeout(c.base, tokenTimeout)
	defer cancel()
	asked := time.Now()
	token, life, err := c.request(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.under)
	c.under, c.err = nil, err
	if err != nil {
		c.notBefore = time.Now().Add(tokenRetry)
		c.requests.WithLabelValues("failed").Inc()
		if c.token != "" && time.Now().Before(c.expiry) { // otherwise a connection fails, and that is told
			c.log.Warn("no new token for Kafka, the one before is used", "until", c.expiry.UTC().Format(time.RFC3339), "error", err)
		}
		return
	}
	c.requests.WithLabelValues("ok").Inc()
	c.token, c.expiry = token, asked.Add(life)
	c.renewAt = asked.Add(time.Duration(float64(life) * tokenRenewal))
}

// unknownLife is how long a token is used whose endpoint does not say how long it is good for.
const unknownLife = time.Minute

// request asks for one token. Its errors quote neither the secret nor what was answered, but for the code and text of an error.
func (c *tokenClient) request(ctx context.Context) (token string, life time.Duration, err error) {
	secret, err := c.secret.get()
	if err != nil {
		return "", 0, err
	}
	encryption, err := c.tls.get()
	if err != nil {
		return "", 0, err
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: encryption.Clone(), DisableKeepAlives: true, MaxResponseHeaderBytes: maxToken}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the secret is for this endpoint alone
	}}
	c.grant.ClientSecret = secret
	asked := time.Now()
	t, err := c.grant.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return "", 0, fmt.Errorf("ask %s for a token as client %q: %w", c.cfg.TokenURL, c.cfg.ClientID, withoutBody(err))
	}
	if err := (kafka.Token{Value: t.AccessToken}).Validate(); err != nil || len(t.AccessToken) > maxToken {
		return "", 0, fmt.Errorf("the token that %s gave is not one that Kafka takes", c.cfg.TokenURL)
	}
	if t.Expiry.IsZero() {
		return t.AccessToken, unknownLife, nil
	}
	return t.AccessToken, t.Expiry.Sub(asked), nil
}

// withoutBody is an error of the token endpoint without the response itself, in which anything may be.
func withoutBody(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return err
	}
	text := "the answer is " + refused.Response.Status
	if refused.ErrorCode != "" {
		text += fmt.Sprintf(", %.64q", refused.ErrorCode)
	}
	if refused.ErrorDescription != "" {
		text += fmt.Sprintf(": %.256q", refused.ErrorDescription)
	}
	return errors.New(strings.TrimSpace(text))
}

// close ends the request that is under way.
func (c *tokenClient) close() {
	c.end()
	c.asking.Wait()
}

func clientSecret(cfg config.OAuth) (string, error) {
	b, err := readSecret("--kafka-sasl-oauth-client-secret-file", cfg.ClientSecretFile)
	return string(b), err
}

func tokenTLS(cfg config.OAuth) (*tls.Config, error) {
	return outgoingTLS("--kafka-sasl-oauth", cfg.CA, "", "", "")
}
