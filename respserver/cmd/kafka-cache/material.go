package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/yolean/kafka-cache/core/store"
	"github.com/yolean/kafka-cache/respserver"
	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/config"
	"github.com/yolean/kafka-cache/respserver/peers"
)

// material is what the configuration names by file: passwords and certificates.
type material struct {
	respUsers    []respserver.User
	respPassword []byte // nil: none
	respTLS      *tls.Config
	adminTokens  [][]byte    // nil: none
	adminTLS     *tls.Config // nil: none

	registryPassword string
	registryTLS      *tls.Config
}

// readMaterial reads all of it, so that what is missing is found before anything is opened.
func readMaterial(c *config.Config) (m material, err error) {
	if m.respUsers, m.respPassword, err = readUsers(c); err != nil {
		return m, err
	}
	if c.RESPTLSCert != "" {
		if m.respTLS, err = serverTLS(c); err != nil {
			return m, err
		}
	}
	if m.adminTokens, err = readAdminTokens(c); err != nil {
		return m, err
	}
	if c.AdminTLSCert != "" {
		if m.adminTLS, err = adminTLS(c); err != nil {
			return m, err
		}
	}
	if err := checkKafkaFiles(c); err != nil {
		return m, err
	}
	if c.SchemaRegistryPasswordFile != "" {
		password, err := readSecret("--schema-registry-password-file", c.SchemaRegistryPasswordFile)
		if err != nil {
			return m, err
		}
		m.registryPassword = string(password)
	}
	peers := peersConfig(c)
	if peers.Password != nil {
		if _, err := peers.Password(); err != nil {
			return m, err
		}
	}
	if peers.TLS != nil {
		if _, err := peers.TLS(); err != nil {
			return m, err
		}
	}
	m.registryTLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.SchemaRegistryCA != "" {
		if m.registryTLS.RootCAs, err = readCertificates("--schema-registry-ca", c.SchemaRegistryCA); err != nil {
			return m, err
		}
	}
	return m, nil
}

// peersConfig is how other instances are asked. Files are read again for each connection, so that what is renewed is used.
func peersConfig(c *config.Config) peers.Config {
	p := peers.Config{Addrs: c.Peers, User: c.PeerUser}
	if c.PeerPasswordFile != "" {
		p.Password = func() ([]byte, error) { return readSecret("--peer-password-file", c.PeerPasswordFile) }
	}
	if c.PeerTLS {
		p.TLS = func() (*tls.Config, error) { return peerTLS(c) }
	}
	return p
}

func peerTLS(c *config.Config) (*tls.Config, error) {
	return outgoingTLS("--peer-tls", c.PeerTLSCA, c.PeerTLSCert, c.PeerTLSKey, c.PeerTLSServerName)
}

// outgoingTLS is what connections to others are made with. The options' names begin with prefix; what is empty was not given.
func outgoingTLS(prefix, ca, cert, key, serverName string) (t *tls.Config, err error) {
	t = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if ca != "" {
		if t.RootCAs, err = readCertificates(prefix+"-ca", ca); err != nil {
			return nil, err
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("%s-cert and %s-key: %w", prefix, prefix, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// maxSecret bounds a password file: more is some other file.
const maxSecret = 4096

// readSecret reads a password; one line break at its end is not part of it. Its errors do not quote what was read.
func readSecret(option, path string) ([]byte, error) { return readLine(option, path, maxSecret) }

func readLine(option, path string, most int64) ([]byte, error) {
	b, err := readBounded(path, most)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case secret == "":
		return nil, fmt.Errorf("%s: %s is empty", option, path)
	case strings.ContainsAny(secret, "\r\n\x00"):
		return nil, fmt.Errorf("%s: %s has more than one line", option, path)
	}
	return []byte(secret), nil
}

func serverTLS(c *config.Config) (*tls.Config, error) {
	t, err := incomingTLS("--resp-tls", c.RESPTLSCert, c.RESPTLSKey, c.RESPTLSClientCA)
	if err != nil {
		return nil, err
	}
	if c.RESPTLSMinVersion == "1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	return t, nil
}

// adminTLS asks for a client certificate and does without one: probes have none. Who may ask for what is decided by path.
func adminTLS(c *config.Config) (*tls.Config, error) {
	t, err := incomingTLS("--admin-tls", c.AdminTLSCert, c.AdminTLSKey, c.AdminTLSClientCA)
	if err != nil {
		return nil, err
	}
	if t.ClientCAs != nil {
		t.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return t, nil
}

// incomingTLS is what connections are served with. The options' names begin with prefix; an empty clientCA was not given, otherwise a certificate is required.
func incomingTLS(prefix, cert, key, clientCA string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s-cert and %s-key: %w", prefix, prefix, err)
	}
	if err := checkLeaf(&pair); err != nil {
		return nil, fmt.Errorf("%s-cert: %w", prefix, err)
	}
	t := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if clientCA != "" {
		if t.ClientCAs, err = readCertificates(prefix+"-client-ca", clientCA); err != nil {
			return nil, err
		}
		t.ClientAuth = tls.RequireAndVerifyClientCert
		t.SessionTicketsDisabled = true // a session would outlive the authority that it was begun under
	}
	return t, nil
}

func readCertificates(option, path string) (*x509.CertPool, error) {
	pem, err := readBounded(path, maxCertificates)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s has no certificate in PEM", option, path)
	}
	return pool, nil
}

// checkDataDir changes nothing that is there.
func checkDataDir(dir string) error {
	if dir == "" {
		return nil
	}
	if err := store.CheckDataDir(dir); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	return nil
}

// makeDataDir makes the directory where there is none, and tries whether files can be made in it: what a mount does not allow would otherwise be
// tried again for ever, topic by topic.
func makeDataDir(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	return nil
}
