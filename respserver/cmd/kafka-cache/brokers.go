package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/core/kafka"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/config"
)

// brokers is how Kafka's brokers are connected to. What comes from files is read again for each connection, and for each time that a broker has
// one authenticate again.
type brokers struct {
	cfg *config.Config

	tls      *renewed[*tls.Config] // nil: plaintext
	password *renewed[string]      // nil: no mechanism that has one
	token    *renewed[string]      // nil: not from a file
	tokens   *tokenClient          // nil: not from an endpoint
}

// newBrokers reads the files.
func newBrokers(cfg *config.Config, log *slog.Logger, metrics prometheus.Registerer) (*brokers, error) {
	r := newRenewal(log)
	b := &brokers{cfg: cfg}
	all := []prometheus.Collector{r.reloads, r.failures}
	var err error
	if cfg.KafkaTLS {
		expiry := prometheus.NewGauge(prometheus.GaugeOpts{Name: "kafka_cache_kafka_tls_certificate_not_after_seconds",
			Help: "When the certificate that brokers are shown expires, in seconds since 1970."})
		if cfg.KafkaTLSCert != "" {
			all = append(all, expiry)
		}
		b.tls, err = renew(r, "tls", func() (*tls.Config, error) {
			t, err := kafkaTLS(cfg)
			if err == nil && len(t.Certificates) > 0 {
				expiry.Set(float64(t.Certificates[0].Leaf.NotAfter.Unix()))
			}
			return t, err
		}, cfg.KafkaTLSCA, cfg.KafkaTLSCert, cfg.KafkaTLSKey)
	}
	if err == nil && cfg.KafkaSASLPasswordFile != "" {
		b.password, err = renew(r, "password", func() (string, error) { return kafkaPassword(cfg) }, cfg.KafkaSASLPasswordFile)
	}
	if err == nil && cfg.KafkaSASLTokenFile != "" {
		b.token, err = renew(r, "token", func() (string, error) { return kafkaToken(cfg) }, cfg.KafkaSASLTokenFile)
	}
	if err == nil && cfg.KafkaOAuth.TokenURL != "" {
		if b.tokens, err = newTokenClient(cfg.KafkaOAuth, r, log); err == nil {
			all = append(all, b.tokens.requests)
		}
	}
	if err != nil {
		return nil, configError{err}
	}
	for _, c := range all {
		if err := metrics.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	if !cfg.KafkaTLS && (cfg.KafkaSASLMechanism == kafka.MechanismPlain || cfg.KafkaSASLMechanism == kafka.MechanismOAuthBearer) {
		log.Warn("the secret goes to Kafka's brokers in the clear: use --kafka-tls with this mechanism", "mechanism", cfg.KafkaSASLMechanism)
	}
	return b, nil
}

// config is what the cache connects with.
func (b *brokers) config(bootstrap []string, log *slog.Logger) kafka.Config {
	c := kafka.Config{Bootstrap: bootstrap, RefreshInterval: b.cfg.MetadataRefresh, Logger: log}
	if b.tls != nil {
		c.TLSSource = b.tls.get
	}
	if b.cfg.KafkaSASLMechanism == "" {
		return c
	}
	c.SASL = &kafka.SASL{Mechanism: b.cfg.KafkaSASLMechanism, User: b.cfg.KafkaSASLUser}
	switch {
	case b.password != nil:
		c.SASL.PasswordSource = func(context.Context) (string, error) { return b.password.get() }
	case b.token != nil:
		c.SASL.TokenSource = func(context.Context) (kafka.Token, error) { return b.withExtensions(b.token.get()) }
	case b.tokens != nil:
		c.SASL.TokenSource = func(ctx context.Context) (kafka.Token, error) { return b.withExtensions(b.tokens.get(ctx)) }
	}
	return c
}

func (b *brokers) withExtensions(token string, err error) (kafka.Token, error) {
	return kafka.Token{Value: token, Extensions: b.cfg.KafkaSASLExtensions}, err
}

// close ends a request for a token that is under way, when the cache has ended.
func (b *brokers) close() {
	if b.tokens != nil {
		b.tokens.close()
	}
}

// checkKafkaFiles tells whether the files can be used.
func checkKafkaFiles(c *config.Config) error {
	for _, check := range []struct {
		given bool
		read  func() error
	}{
		{c.KafkaTLS, func() error { _, err := kafkaTLS(c); return err }},
		{c.KafkaSASLPasswordFile != "", func() error { _, err := kafkaPassword(c); return err }},
		{c.KafkaSASLTokenFile != "", func() error { _, err := kafkaToken(c); return err }},
		{c.KafkaOAuth.ClientSecretFile != "", func() error { _, err := clientSecret(c.KafkaOAuth); return err }},
		{c.KafkaOAuth.CA != "", func() error { _, err := tokenTLS(c.KafkaOAuth); return err }},
	} {
		if check.given {
			if err := check.read(); err != nil {
				return err
			}
		}
	}
	return nil
}

func kafkaTLS(c *config.Config) (*tls.Config, error) {
	t, err := outgoingTLS("--kafka-tls", c.KafkaTLSCA, c.KafkaTLSCert, c.KafkaTLSKey, "")
	if err == nil && len(t.Certificates) > 0 {
		if err := checkLeaf(&t.Certificates[0]); err != nil {
			return nil, fmt.Errorf("--kafka-tls-cert: %w", err)
		}
	}
	return t, err
}

func kafkaPassword(c *config.Config) (string, error) {
	p, err := readSecret("--kafka-sasl-password-file", c.KafkaSASLPasswordFile)
	return string(p), err
}

// maxToken bounds a token: those that list many groups are large.
const maxToken = 64 << 10

func kafkaToken(c *config.Config) (string, error) {
	b, err := readLine("--kafka-sasl-token-file", c.KafkaSASLTokenFile, maxToken)
	if err != nil {
		return "", err
	}
	if err := (kafka.Token{Value: string(b)}).Validate(); err != nil {
		return "", fmt.Errorf("--kafka-sasl-token-file: %s: %w", c.KafkaSASLTokenFile, err)
	}
	return string(b), nil
}

// renewal makes what is renewed, with the counters of all of it.
type renewal struct {
	log               *slog.Logger
	reloads, failures *prometheus.CounterVec
}

func newRenewal(log *slog.Logger) *renewal {
	return &renewal{
		log: log,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_cache_kafka_reloads_total",
			Help: "Files for connections to Kafka (tls, password, token; client-secret, token-tls of the token endpoint) that had changed, and were used from then on."}, []string{"files"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_cache_kafka_reload_errors_total",
			Help: "Files for connections to Kafka that had changed and were not usable: what was there before is used."}, []string{"files"}),
	}
}

// renewed is what files hold. They are looked at whenever it is asked for; while they are not usable, what they held before is what there is.
type renewed[T any] struct {
	mu    sync.Mutex
	set   fileSet
	log   *slog.Logger
	value T
}

// renew reads the files for the first time; an empty path is of one that was not given.
func renew[T any](r *renewal, name string, read func() (T, error), files ...string) (*renewed[T], error) {
	n := &renewed[T]{log: r.log, set: fileSet{name: "kafka " + name, reloads: r.reloads.WithLabelValues(name), failures: r.failures.WithLabelValues(name)}}
	for _, f := range files {
		if f != "" {
			n.set.files = append(n.set.files, f)
		}
	}
	n.set.apply = func() error {
		v, err := read()
		if err == nil {
			n.value = v
		}
		return err
	}
	n.set.tried = n.set.sum()
	return n, n.set.apply()
}

func (n *renewed[T]) get() (T, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.set.look(n.log)
	return n.value, nil
}
