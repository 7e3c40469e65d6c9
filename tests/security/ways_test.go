package security

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/yolean/kafka-cache/tests/internal/authority"
)

// Each test begins with a wrong secret, which the log names, puts the right one in its place, and goes on to replace it while the instance runs.

const user = "app"

func TestPlain(t *testing.T) {
	t.Parallel()
	k := start(t)
	i := prepare(t, k, user)
	password := newFile(t, "wrong-hunter2")
	i.start("--kafka-bootstrap", k.sasl, "--kafka-tls", "--kafka-tls-ca", k.file("ca.pem"),
		"--kafka-sasl-mechanism=PLAIN", "--kafka-sasl-user", user, "--kafka-sasl-password-file", password.path)
	i.says(`authentication failed: PLAIN user \"app\" password ***: kafka server: SASL Authentication failed: Authentication failed: Invalid username or password`)
	password.put(plainPassword)
	i.works()
	failed := i.Metric("kafka_cache_fetch_errors_total") // while the password was wrong
	// Not usable: what was there before is used. That it is looked at shows that the broker has asked again; that it is looked at once more, that this
	// went well.
	for n, bad := range []string{"bad-hunter2\nx", "bad-hunter2\nx\nx"} {
		password.put(bad)
		i.Await("the bad file is counted", func() bool {
			return i.Metric("kafka_cache_kafka_reload_errors_total", "files=password") == float64(n+1)
		})
		i.goesOn()
	}
	i.says("--kafka-sasl-password-file: " + password.path + " has more than one line")
	if n := i.Metric("kafka_cache_fetch_errors_total"); n > failed {
		t.Errorf("%v fetches failed, and %v before", n, failed)
	}
	i.keeps("wrong-hunter2", plainPassword, "bad-hunter2")
}

func TestScram(t *testing.T) {
	t.Parallel()
	k := start(t)
	i := prepare(t, k, user)
	k.setScram(t, user, scramPassword)
	password := newFile(t, "wrong-hunter2")
	i.start("--kafka-bootstrap", k.sasl, "--kafka-tls", "--kafka-tls-ca", k.file("ca.pem"),
		"--kafka-sasl-mechanism=SCRAM-SHA-512", "--kafka-sasl-user", user, "--kafka-sasl-password-file", password.path)
	i.says(`authentication failed: SCRAM-SHA-512 user \"app\" password ***: kafka server: SASL Authentication failed`)
	password.put(scramPassword)
	i.works()
	k.setScram(t, user, nextPassword)
	i.fails("the broker refuses the password from before")
	i.Await("writes are refused, as such that are surely not in the log", func() bool {
		err := i.Client(0).Set(t.Context(), "refused", `{}`, 0).Err()
		if err != nil && !strings.HasPrefix(err.Error(), "NOPERM Kafka does not take this instance's credentials, nothing was written") {
			t.Fatal(err)
		}
		return err != nil
	})
	password.put(nextPassword)
	i.goesOn()
	i.keeps("wrong-hunter2", scramPassword, nextPassword)
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	k := start(t)
	i := prepare(t, k, user)
	expired, good, next := token(user, -time.Minute), token(user, time.Hour), token(user, 2*time.Hour)
	file := newFile(t, expired)
	i.start("--kafka-bootstrap", k.sasl, "--kafka-tls", "--kafka-tls-ca", k.file("ca.pem"), "--kafka-sasl-mechanism=OAUTHBEARER", "--kafka-sasl-token-file", file.path)
	i.says(`authentication failed: OAUTHBEARER token ***: kafka server: SASL Authentication failed`)
	file.put(good)
	i.works()
	file.put("not a token")
	i.Await("the bad file is counted", func() bool { return i.Metric("kafka_cache_kafka_reload_errors_total", "files=token") == 1 })
	i.says("--kafka-sasl-token-file: " + file.path + ": not a bearer token")
	i.goesOn()
	file.put(expired)
	i.fails("the broker refuses the expired token")
	file.put(next)
	i.goesOn()
	i.keeps(expired, good, next, "not a token")
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	k := start(t)
	i := prepare(t, k, user)
	var secret atomic.Value
	secret.Store("first-hunter2")
	var tokens, bad atomic.Int64
	endpoint := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, given, basic := r.BasicAuth()
		if !basic { // tried where the other way is refused
			id, given = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "kafka other" || id != "me" {
			bad.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		if given != secret.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "given": given})
			return
		}
		tokens.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token(user, time.Hour), "token_type": "Bearer", "expires_in": 2})
	}))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	startTLS(t, k.authority, endpoint, ca)
	file := newFile(t, "wrong-hunter2")
	i.start("--kafka-bootstrap", k.sasl, "--kafka-tls", "--kafka-tls-ca", k.file("ca.pem"), "--kafka-sasl-mechanism=OAUTHBEARER",
		"--kafka-sasl-oauth-token-url", endpoint.URL+"/token", "--kafka-sasl-oauth-client-id=me", "--kafka-sasl-oauth-client-secret-file", file.path,
		"--kafka-sasl-oauth-scope=kafka,other", "--kafka-sasl-oauth-ca", ca, "--kafka-sasl-extensions=logicalCluster=lkc-1")
	i.says("no token for SASL OAUTHBEARER: ask " + endpoint.URL + `/token for a token as client \"me\": the answer is 401 Unauthorized, \"invalid_client\"`)
	file.put("first-hunter2")
	i.works()
	secret.Store("second-hunter2")
	// Tokens are good for two seconds: the next is refused.
	i.fails("the endpoint refuses the secret from before")
	file.put("second-hunter2")
	i.goesOn()
	if n := bad.Load(); n > 0 {
		t.Errorf("%d requests for tokens were not as they should be", n)
	}
	if n := tokens.Load(); n < 2 {
		t.Errorf("%d tokens were given", n)
	}
	i.keeps("wrong-hunter2", "first-hunter2", "second-hunter2")
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	k := start(t)
	i := prepare(t, k, user)
	dir := t.TempDir()
	ca, cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	other, err := authority.New()
	must(t, err)
	must(t, k.authority.WriteCA(ca))
	must(t, other.IssueTo(user, cert, key))
	i.start("--kafka-bootstrap", k.mtls, "--kafka-tls", "--kafka-tls-ca", ca, "--kafka-tls-cert", cert, "--kafka-tls-key", key)
	i.says("remote error: tls: ")
	must(t, k.authority.IssueTo(user, cert, key))
	i.works()
	before := i.Metric("kafka_cache_kafka_reload_errors_total", "files=tls") // the certificate and its key are replaced one after the other

	// Another authority, for the broker and for its clients.
	must(t, other.WriteCA(k.file("ca2.pem")))
	must(t, issueStore(other, k.file("server2.pem")))
	k.setMTLS(t, k.file("server2.pem"), k.file("ca2.pem"))
	k.proxy.cut()
	i.says("certificate signed by unknown authority")
	must(t, os.WriteFile(ca, []byte("not a certificate"), 0o600))
	i.Await("the bad file is counted", func() bool { return i.Metric("kafka_cache_kafka_reload_errors_total", "files=tls") > before })
	i.says("--kafka-tls-ca: " + ca + " has no certificate in PEM")
	must(t, other.WriteCA(ca))
	must(t, other.IssueTo(user, cert, key))
	i.goesOn()
	if at := i.Metric("kafka_cache_kafka_tls_certificate_not_after_seconds"); at < float64(time.Now().Unix()) {
		t.Errorf("the certificate expires at %v", at)
	}
}

// startTLS starts a server with a certificate of an authority, which is written to a file.
func startTLS(t *testing.T, a *authority.Authority, s *httptest.Server, ca string) {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	must(t, a.Issue(cert, key))
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(t, err)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	must(t, a.WriteCA(ca))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
