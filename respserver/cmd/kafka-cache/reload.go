package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yolean/kafka-cache/admin"
	"github.com/yolean/kafka-cache/respserver"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/config"
)

// maxCertificates bounds a file of certificates or keys: more is some other file.
const maxCertificates = 1 << 20

// reloader reads the files of passwords and certificates again while the daemon runs. It looks at what is in them rather than at when they
// changed, so it does not matter how they are replaced (Kubernetes swaps a symbolic link of their directory).
type reloader struct {
	cfg   *config.Config
	log   *slog.Logger
	resp  *respserver.Server // set before Run, as is admin
	admin *admin.Server

	sets    []*fileSet
	current atomic.Pointer[tls.Config] // nil: no TLS
	expiry  prometheus.Gauge

	adminCurrent atomic.Pointer[tls.Config] // nil: no TLS
	adminExpiry  prometheus.Gauge
}

// fileSet are files that hold together.
type fileSet struct {
	name  string
	files []string
	apply func() error
	tried [sha256.Size]byte // what was in them when they were last applied, or were not usable

	reloads, failures prometheus.Counter
}

func newReloader(cfg *config.Config, log *slog.Logger, m material, metrics prometheus.Registerer) (*reloader, error) {
	r := &reloader{cfg: cfg, log: log}
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_cache_resp_reloads_total", Help: "Files of passwords (users), certificates (tls), or those of the admin port (admin_token, admin_tls) that were read again since they had changed."}, []string{"files"})
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_cache_resp_reload_errors_total", Help: "Files of passwords (users), certificates (tls), or those of the admin port (admin_token, admin_tls) that had changed and were not usable: those before hold."}, []string{"files"})
	all := []prometheus.Collector{reloads, failures}
	add := func(name string, files []string, apply func() error) {
		if len(files) > 0 {
			s := &fileSet{name: name, files: files, apply: apply, reloads: reloads.WithLabelValues(name), failures: failures.WithLabelValues(name)}
			s.tried = s.sum()
			r.sets = append(r.sets, s)
		}
	}
	var secrets []string
	if cfg.RESPPasswordFile != "" {
		secrets = append(secrets, cfg.RESPPasswordFile)
	}
	for _, u := range cfg.Users {
		if u.PasswordFile != "" {
			secrets = append(secrets, u.PasswordFile)
		}
	}
	add("users", secrets, r.applyUsers)
	if m.respTLS != nil {
		files := []string{cfg.RESPTLSCert, cfg.RESPTLSKey}
		if cfg.RESPTLSClientCA != "" {
			files = append(files, cfg.RESPTLSClientCA)
		}
		r.expiry = prometheus.NewGauge(prometheus.GaugeOpts{Name: "kafka_cache_resp_tls_certificate_not_after_seconds", Help: "When the certificate that clients are shown expires, in seconds since 1970."})
		all = append(all, r.expiry)
		r.show(m.respTLS)
		add("tls", files, r.applyTLS)
	}
	if cfg.AdminTokenFile != "" {
		add("admin_token", []string{cfg.AdminTokenFile}, r.applyAdminTokens)
	}
	if m.adminTLS != nil {
		files := []string{cfg.AdminTLSCert, cfg.AdminTLSKey}
		if cfg.AdminTLSClientCA != "" {
			files = append(files, cfg.AdminTLSClientCA)
		}
		r.adminExpiry = prometheus.NewGauge(prometheus.GaugeOpts{Name: "kafka_cache_admin_tls_certificate_not_after_seconds", Help: "When the certificate of the admin port expires, in seconds since 1970."})
		all = append(all, r.adminExpiry)
		r.showAdmin(m.adminTLS)
		add("admin_tls", files, r.applyAdminTLS)
	}
	for _, c := range all {
		if err := metrics.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return r, nil
}

// serverTLS is what RESP connections are served with: at each handshake that which holds then. nil: no TLS.
func (r *reloader) serverTLS() *tls.Config { return newest(&r.current) }

// adminTLS is the same for the admin port.
func (r *reloader) adminTLS() *tls.Config { return newest(&r.adminCurrent) }

func newest(current *atomic.Pointer[tls.Config]) *tls.Config {
	now := current.Load()
	if now == nil {
		return nil
	}
	outer := now.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Load(), nil }
	return outer
}

// Run looks at the files until ctx ends.
func (r *reloader) Run(ctx context.Context) error {
	if len(r.sets) == 0 || r.cfg.RESPReloadInterval == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(r.cfg.RESPReloadInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, s := range r.sets {
			s.look(r.log)
		}
	}
}

// look applies what is in the files where it has changed.
func (s *fileSet) look(log *slog.Logger) {
	sum := s.sum()
	if sum == s.tried {
		return
	}
	s.tried = sum
	if err := s.apply(); err != nil {
		s.failures.Inc()
		log.Error("files that have changed are not usable, those before go on to hold", "files", s.name, "error", err)
		return
	}
	s.reloads.Inc()
	log.Info("files that have changed hold from now on", "files", s.name)
}

// sum is a hash of what is in the files, or of why that is not known.
func (s *fileSet) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range s.files {
		addFile(h, path)
	}
	h.Sum(sum[:0])
	return sum
}

func addFile(h hash.Hash, path string) {
	b, err := readBounded(path, maxCertificates)
	each := sha256.Sum256(b)
	h.Write(each[:])
	if err != nil {
		_, _ = io.WriteString(h, err.Error())
	}
}

func (r *reloader) applyUsers() error {
	users, password, err := readUsers(r.cfg)
	if err != nil {
		return err
	}
	return r.resp.SetUsers(users, password)
}

func (r *reloader) applyTLS() error {
	t, err := serverTLS(r.cfg)
	if err != nil {
		return err
	}
	if err := unexpired("--resp-tls-cert", t); err != nil {
		return err
	}
	r.show(t)
	return nil
}

func (r *reloader) applyAdminTokens() error {
	tokens, err := readAdminTokens(r.cfg)
	if err != nil {
		return err
	}
	r.admin.SetTokens(tokens)
	return nil
}

func (r *reloader) applyAdminTLS() error {
	t, err := adminTLS(r.cfg)
	if err != nil {
		return err
	}
	if err := unexpired("--admin-tls-cert", t); err != nil {
		return err
	}
	r.showAdmin(t)
	return nil
}

func unexpired(option string, t *tls.Config) error {
	if leaf := t.Certificates[0].Leaf; time.Now().After(leaf.NotAfter) {
		return errors.New(option + ": the certificate has expired on " + leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// show makes t hold.
func (r *reloader) show(t *tls.Config) {
	r.current.Store(t)
	r.expiry.Set(float64(t.Certificates[0].Leaf.NotAfter.Unix()))
}

// showAdmin is show for the admin port.
func (r *reloader) showAdmin(t *tls.Config) {
	r.adminCurrent.Store(t)
	r.adminExpiry.Set(float64(t.Certificates[0].Leaf.NotAfter.Unix()))
}

// readBounded reads a file that is not larger than most.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return b, err
}

// readUsers reads what the users' passwords are; with them the user default's, nil where it has none.
func readUsers(c *config.Config) (users []respserver.User, password []byte, err error) {
	for _, u := range c.Users {
		user := respserver.User{Name: u.Name, Admin: u.Admin, Topics: map[string]respserver.Right{}}
		for _, t := range u.Topics {
			if t.Topic == "*" {
				user.Others = t.Right
			} else {
				user.Topics[t.Topic] = t.Right
			}
		}
		for _, h := range u.PasswordSHA256 {
			b, err := hex.DecodeString(h)
			if err != nil {
				return nil, nil, fmt.Errorf("user %q: password-sha256: %w", u.Name, err)
			}
			user.Passwords = append(user.Passwords, [sha256.Size]byte(b))
		}
		if u.PasswordFile != "" {
			passwords, err := readPasswords(fmt.Sprintf("user %q: password-file", u.Name), u.PasswordFile)
			if err != nil {
				return nil, nil, err
			}
			for _, p := range passwords {
				user.Passwords = append(user.Passwords, respserver.HashPassword(p))
			}
		}
		users = append(users, user)
	}
	if c.RESPPasswordFile == "" {
		return users, nil, nil
	}
	passwords, err := readPasswords("--resp-password-file", c.RESPPasswordFile)
	if err != nil {
		return nil, nil, err
	}
	if len(passwords) == 1 {
		return users, passwords[0], nil
	}
	// More than one are those of the user default as if the file had it.
	i := -1
	for j := range users {
		if users[j].Name == respserver.DefaultUser {
			i = j
		}
	}
	if i < 0 {
		users = append(users, respserver.User{Name: respserver.DefaultUser, Admin: true, Others: respserver.MayWrite})
		i = len(users) - 1
	}
	for _, p := range passwords[1:] {
		users[i].Passwords = append(users[i].Passwords, respserver.HashPassword(p))
	}
	return users, passwords[0], nil
}

// minAdminToken is how long a token is at least: it can be guessed at as fast as HTTP is answered.
const minAdminToken = 16

// readAdminTokens reads what --admin-token-file has; nil without one.
func readAdminTokens(c *config.Config) ([][]byte, error) {
	if c.AdminTokenFile == "" {
		return nil, nil
	}
	tokens, err := readPasswords("--admin-token-file", c.AdminTokenFile)
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		if len(t) < minAdminToken || bytes.ContainsAny(t, " \t") {
			return nil, fmt.Errorf("--admin-token-file: %s has a token of less than %d characters, or with a space", c.AdminTokenFile, minAdminToken)
		}
	}
	return tokens, nil
}

// maxPasswords is how many a file may have.
const maxPasswords = 8

// readPasswords reads one password a line. Its errors do not quote what was read.
func readPasswords(option, path string) ([][]byte, error) {
	b, err := readBounded(path, maxSecret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	var all [][]byte
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch {
		case len(line) == 0 && len(b) == 0:
			return nil, fmt.Errorf("%s: %s is empty", option, path)
		case len(line) == 0:
			return nil, fmt.Errorf("%s: %s has an empty line, which is no password", option, path)
		case bytes.ContainsAny(line, "\r\x00"):
			return nil, fmt.Errorf("%s: %s has a control character", option, path)
		}
		all = append(all, bytes.Clone(line))
	}
	if len(all) > maxPasswords {
		return nil, fmt.Errorf("%s: %s has more than %d lines", option, path, maxPasswords)
	}
	return all, nil
}

// checkLeaf has the certificate parsed.
func checkLeaf(pair *tls.Certificate) error {
	leaf := pair.Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return err
		}
		pair.Leaf = leaf
	}
	return nil
}
