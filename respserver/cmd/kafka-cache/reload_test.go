package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue makes a certificate and its key.
func (a *authority) issue(name string, serial int64) (cert, key []byte) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kb})
}

// volume replaces its files as Kubernetes does: each version is a directory, to which a symbolic link is swapped.
type volume struct {
	t   *testing.T
	dir string
	n   int
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

func (v *volume) put(files map[string][]byte) {
	v.t.Helper()
	v.n++
	version := fmt.Sprintf("..v%d", v.n)
	must := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	must(os.Mkdir(v.path(version), 0o700))
	for name, b := range files {
		must(os.WriteFile(v.path(version+"/"+name), b, 0o600))
		if _, err := os.Lstat(v.path(name)); err != nil {
			must(os.Symlink("..data/"+name, v.path(name)))
		}
	}
	must(os.Symlink(version, v.path("..next")))
	must(os.Rename(v.path("..next"), v.path("..data")))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func (p *process) metric(admin, line string) bool {
	r, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Contains(string(b), line+"\n")
}

// TestSecretsAreReadAgain: certificates and passwords are replaced under a running daemon, with good ones and with bad ones; a client certificate
// logs in its user.
func TestSecretsAreReadAgain(t *testing.T) {
	one, two := newAuthority(t), newAuthority(t)
	v := &volume{t: t, dir: t.TempDir()}
	files := func(a *authority, serial int64, password string) map[string][]byte {
		cert, key := a.issue("localhost", serial)
		return map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": a.pem, "app": []byte(password + "\n")}
	}
	v.put(files(one, 7, "first"))
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte("users:\n  - {name: app, password-file: "+v.path("app")+", topics: {users: read}}\n  - {name: cron, topics: {\"*\": write}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, "serve", "--dev", "--config", file, "--resp-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "--resp-tls-cert", v.path("tls.crt"), "--resp-tls-key", v.path("tls.key"),
		"--resp-tls-client-ca", v.path("ca.crt"), "--resp-tls-auth-clients-user=CN", "--resp-reload-interval=20ms", "--resp-tls-min-version=1.3")
	addr, admin := p.addr("resp listening"), p.addr("admin listening")
	// dial says which certificate is shown, and what commands are answered.
	dial := func(a *authority, name, commands string) (serial int64, reply string) {
		cert, key := a.issue(name, 1)
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(a.cert)
		c, err := tls.Dial("tcp", addr, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "localhost"})
		if err != nil {
			return 0, err.Error()
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(c, commands+"QUIT\r\n"); err != nil {
			return 0, err.Error()
		}
		b, err := io.ReadAll(c)
		if err != nil {
			return 0, err.Error()
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), string(b)
	}
	want := func(a *authority, name, commands string, serial int64, reply string) {
		t.Helper()
		if s, r := dial(a, name, commands); s != serial || r != reply {
			t.Errorf("%s: certificate %d, %q; want %d, %q", commands, s, r, serial, reply)
		}
	}
	const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n+OK\r\n"
	want(one, "cron", "ACL WHOAMI\r\n", 7, "$4\r\ncron\r\n+OK\r\n")
	want(one, "other", "ACL WHOAMI\r\n", 7, "-NOAUTH Authentication required.\r\n+OK\r\n")
	want(one, "other", "AUTH app first\r\n", 7, "+OK\r\n+OK\r\n")
	if _, r := dial(two, "cron", "PING\r\n"); !strings.Contains(r, "certificate") {
		t.Errorf("a client of another authority: %q", r)
	}

	v.put(files(two, 8, "second"))
	eventually(t, "the new certificate", func() bool { s, _ := dial(two, "cron", ""); return s == 8 })
	eventually(t, "the new password", func() bool { _, r := dial(two, "other", "AUTH app second\r\n"); return r == "+OK\r\n+OK\r\n" })
	want(two, "other", "AUTH app first\r\n", 8, wrong)

	bad := files(two, 9, "third")
	bad["tls.key"], bad["app"] = []byte("no key"), nil
	v.put(bad)
	eventually(t, "bad files to be counted", func() bool {
		return p.metric(admin, `kafka_cache_resp_reload_errors_total{files="tls"} 1`) && p.metric(admin, `kafka_cache_resp_reload_errors_total{files="users"} 1`)
	})
	want(two, "other", "AUTH app second\r\n", 8, "+OK\r\n+OK\r\n")
	v.put(files(two, 10, "fourth"))
	eventually(t, "good files after bad ones", func() bool {
		s, r := dial(two, "other", "AUTH app fourth\r\n")
		return s == 10 && r == "+OK\r\n+OK\r\n"
	})
	for _, secret := range []string{"first", "second", "third", "fourth"} {
		if strings.Contains(p.stderr.text(), secret) {
			t.Errorf("the log shows a password: %s", p.stderr.text())
		}
	}
}
