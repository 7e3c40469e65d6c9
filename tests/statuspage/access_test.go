package statuspage

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/internal/authority"
)

// ask is the status of an answer and its text, 0 where there is none.
func ask(t *testing.T, client *http.Client, address, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// statusCode is the status of an answer, 0 where there is none.
func statusCode(t *testing.T, client *http.Client, address, token string) int {
	t.Helper()
	c, _ := ask(t, client, address, token)
	return c
}

// TestTokenIsReloaded: the token is asked for, by a browser as a password, is replaced in its file while the daemon runs, and two instances that ask for it are compared with it.
func TestTokenIsReloaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	const old, fresh = "the-token-of-yesterday", "the-token-of-today-1"
	write(old + "\n")
	d := daemontest.Start(t, "--dev", "--admin-token-file", file, "--resp-reload-interval", "50ms")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	home := "http://" + d.AdminAddr
	d.WaitReady() // a probe needs none
	for path, want := range map[string]int{"/api/v1/status": 401, "/metrics": 401, "/": 401, "/livez": 200} {
		if code := statusCode(t, client, home+path, ""); code != want {
			t.Errorf("%s without a token: %d, want %d", path, code, want)
		}
		if code := statusCode(t, client, home+path, old); code != 200 {
			t.Errorf("%s with it: %d", path, code)
		}
	}
	if code, printed := daemontest.Run(t, "compare", d.AdminAddr, d.AdminAddr, "--timeout=5s"); code != 3 {
		t.Errorf("compare without the token: %d: %s", code, printed)
	}
	if code, printed := daemontest.Run(t, "compare", d.AdminAddr, d.AdminAddr, "--token-file", file); code != 0 {
		t.Errorf("compare with it: %d: %s", code, printed)
	}

	b := newTab(t, desk)
	chromedp.ListenTarget(b.ctx, func(event any) {
		switch e := event.(type) {
		case *fetch.EventAuthRequired:
			go func() { // an answer from here would wait for itself
				_ = chromedp.Run(b.ctx, fetch.ContinueWithAuth(e.RequestID, &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: "me", Password: old}))
			}()
		case *fetch.EventRequestPaused:
			go func() { _ = chromedp.Run(b.ctx, fetch.ContinueRequest(e.RequestID)) }()
		}
	})
	b.do("answer for the user", fetch.Enable().WithHandleAuthRequests(true))
	b.open(home + "/")
	b.await("the page is live with the token as the password", `document.getElementById('connection').textContent === 'live'`)

	write(fresh + "\n")
	d.Await("the new token holds", func() bool { return statusCode(t, client, home+"/api/v1/status", fresh) == 200 })
	if code := statusCode(t, client, home+"/api/v1/status", old); code != 401 {
		t.Errorf("with the token of yesterday: %d", code)
	}
	write("short\n")
	d.WaitLog(regexp.MustCompile(`not usable.* files=admin_token .*less than 16 characters`))
	if code := statusCode(t, client, home+"/api/v1/status", fresh); code != 200 {
		t.Errorf("after a file that is not usable: %d", code)
	}
}

// TestMutualTLS: with a CA for clients everything but the probes needs a certificate that it has signed.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	a, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	other, err := authority.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{a.WriteCA(in("ca")), a.Issue(in("cert"), in("key")), a.Issue(in("client"), in("client-key")), other.Issue(in("stranger"), in("stranger-key"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d := daemontest.Start(t, "--dev", "--admin-tls-cert", in("cert"), "--admin-tls-key", in("key"), "--admin-tls-client-ca", in("ca"), "--resp-reload-interval", "50ms")
	pem, err := os.ReadFile(in("ca"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	with := func(cert, key string) *http.Client {
		t.Helper()
		c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		if cert != "" {
			pair, err := tls.LoadX509KeyPair(in(cert), in(key))
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates = []tls.Certificate{pair}
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
	}
	home := "https://" + d.AdminAddr
	none, client, stranger := with("", ""), with("client", "client-key"), with("stranger", "stranger-key")
	d.Await("it is ready", func() bool { return statusCode(t, none, home+"/readyz", "") == 200 })
	for path, want := range map[string]int{"/livez": 200, "/api/v1/status": 401, "/": 401, "/api/v1/invalid": 401, "/debug/pprof/": 401} {
		if code := statusCode(t, none, home+path, ""); code != want {
			t.Errorf("%s without a certificate: %d, want %d", path, code, want)
		}
		if code := statusCode(t, client, home+path, ""); code != 200 {
			t.Errorf("%s with one: %d", path, code)
		}
		if code := statusCode(t, stranger, home+path, ""); code != 0 && code != want {
			t.Errorf("%s with one of another authority: %d", path, code)
		}
	}
	if code, printed := daemontest.Run(t, "compare", home, home, "--tls-ca", in("ca"), "--tls-cert", in("client"), "--tls-key", in("client-key")); code != 0 {
		t.Errorf("compare over TLS: %d: %s", code, printed)
	}
	pair, err := tls.LoadX509KeyPair(in("cert"), in("key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, text := ask(t, client, home+"/metrics", ""); !strings.Contains(text, "\nkafka_cache_admin_tls_certificate_not_after_seconds "+strconv.FormatFloat(float64(pair.Leaf.NotAfter.Unix()), 'g', -1, 64)+"\n") {
		t.Errorf("the metrics do not say that the certificate expires at %v", pair.Leaf.NotAfter)
	}
	// A new authority takes the old one's place.
	for _, err := range []error{other.WriteCA(in("ca")), other.Issue(in("cert"), in("key"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if pem, err = os.ReadFile(in("ca")); err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	stranger = with("stranger", "stranger-key")
	d.Await("the new authority holds", func() bool { return statusCode(t, stranger, home+"/api/v1/status", "") == 200 })
}
