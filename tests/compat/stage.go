package compat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/certificates"
	"github.com/yolean/kafka-cache/tests/internal/wire"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

// Databases of the stage: the first two are writable, and read as they are in the log.
const (
	mainDB     = 0
	otherDB    = 1
	readonlyDB = 2
)

// password is that of the daemon that asks for one.
const password = "truth-or-dare"

var topics = []string{"compat-main", "compat-other", "compat-readonly"}

// Stage is what libraries connect to: a Kafka of one broker, and three daemons on
// the same topics, one plain, one with a password, one with TLS. One probe uses
// it at a time.
type Stage struct {
	dir, top string
	kafka    *kafkatest.Cluster
	producer *kgo.Client
	plain    *daemon
	auth     *daemon
	tls      *daemon
	ca       string                              // file with the certificate that signed the third's
	through  func(addr string) (net.Addr, error) // what tests put between probe and the first daemon
}

// OpenStage starts it. Close ends it.
func OpenStage(ctx context.Context) (s *Stage, err error) {
	s = &Stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.top, err = daemontest.Top(); err != nil {
		return s, err
	}
	if s.dir, err = os.MkdirTemp("", "compat-"); err != nil {
		return s, err
	}
	// Of its own, since it is paused.
	if s.kafka, err = kafkatest.Open(ctx, kafkatest.Options{Private: true}); err != nil {
		return s, err
	}
	if s.producer, err = kgo.NewClient(kgo.SeedBrokers(s.kafka.Bootstrap...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0)); err != nil {
		return s, err
	}
	if err := s.createTopics(ctx); err != nil {
		return s, err
	}
	return s, s.startDaemons(ctx)
}

func (s *Stage) createTopics(ctx context.Context) error {
	text := func(v string) *string { return &v }
	config := map[string]*string{"cleanup.policy": text("compact"), "max.message.bytes": text("16777216")}
	res, err := kadm.NewClient(s.producer).CreateTopics(ctx, 3, 1, config, topics...)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for _, t := range res {
		if t.Err != nil {
			return fmt.Errorf("create topic %s: %w", t.Topic, t.Err)
		}
	}
	return nil
}

func (s *Stage) startDaemons(ctx context.Context) error {
	binary, err := buildDaemon(ctx, s.top, s.dir)
	if err != nil {
		return err
	}
	certs, err := certificates.Write(s.dir)
	if err != nil {
		return err
	}
	s.ca = certs.CA
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	file := filepath.Join(s.dir, "daemon.yaml")
	var settings strings.Builder
	settings.WriteString("key-encoding: binary\nvalue-encoding: binary\ntopics:\n")
	for n, t := range topics {
		fmt.Fprintf(&settings, "  - name: %s\n    read-only: %v\n", t, n == readonlyDB)
	}
	if err := os.WriteFile(file, []byte(settings.String()), 0o600); err != nil {
		return err
	}
	for _, d := range []struct {
		daemon **daemon
		name   string
		args   []string
	}{
		{&s.plain, "plain", nil},
		{&s.auth, "auth", []string{"--resp-password-file", secret}},
		{&s.tls, "tls", []string{"--resp-tls-cert", certs.Cert, "--resp-tls-key", certs.Key}},
	} {
		*d.daemon = &daemon{binary: binary, args: append([]string{
			"--config", file, "--kafka-bootstrap", strings.Join(s.kafka.Bootstrap, ","), "--identity", "compat." + d.name, "--data-dir", filepath.Join(s.dir, "data-"+d.name),
		}, d.args...)}
		if err := (*d.daemon).start(ctx); err != nil {
			return err
		}
	}
	for _, d := range []*daemon{s.plain, s.auth, s.tls} {
		if err := d.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything, and tells of what the daemons should not have printed.
func (s *Stage) Close() error {
	var errs []error
	for _, d := range []*daemon{s.plain, s.auth, s.tls} {
		if d != nil && d.proc != nil {
			d.proc.Kill()
			errs = append(errs, d.fault())
		}
	}
	if s.producer != nil {
		s.producer.Close()
	}
	if s.kafka != nil {
		s.kafka.Close()
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// Kafka is the version of the broker.
func (s *Stage) Kafka() string { return s.kafka.Version }

// produce writes records as another producer than the daemon.
func (s *Stage) produce(ctx context.Context, records ...*kgo.Record) error {
	return s.producer.ProduceSync(ctx, records...).FirstErr()
}

// scanned is how many keys of a probe's own SCAN has to find.
const scanned = 300

// seed writes what a probe finds: keys of its own, below prefix, from another producer; and waits until every daemon has them.
func (s *Stage) seed(ctx context.Context, prefix string) error {
	record := func(db int, key, value string) *kgo.Record {
		return &kgo.Record{Topic: topics[db], Key: []byte(prefix + key), Value: []byte(value)}
	}
	records := []*kgo.Record{
		record(mainDB, "seed", "truth from the log"), record(otherDB, "seed", "truth of database 1"), record(readonlyDB, "seed", "truth of database 2"),
		record(mainDB, "cached", "truth 1"),
	}
	for n := range scanned {
		records = append(records, record(mainDB, fmt.Sprintf("scan:%d", n), fmt.Sprintf("truth %d", n)))
	}
	if err := s.produce(ctx, records...); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	for _, d := range []struct {
		*daemon
		hello string
	}{{s.plain, ""}, {s.auth, wire.Frame("AUTH", password)}} {
		if err := awaitKeys(ctx, d.addr, d.hello, prefix); err != nil {
			return err
		}
	}
	return nil
}

// loading restarts the plain daemon on its port and returns while it answers that it is loading, since its broker stands still.
func (s *Stage) loading(ctx context.Context) error {
	if err := s.plain.stop(); err != nil {
		return err
	}
	s.kafka.Brokers[0].Pause()
	return s.plain.start(ctx)
}

// loaded lets a loading daemon go on, and returns when it is ready.
func (s *Stage) loaded(ctx context.Context) error {
	s.kafka.Brokers[0].Resume()
	return s.plain.ready(ctx)
}
