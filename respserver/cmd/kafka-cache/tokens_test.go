package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/yolean/kafka-cache/respserver/cmd/kafka-cache/internal/config"
)

func tokensOf(t *testing.T, url string, log io.Writer) *tokenClient {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(log, nil))
	c, err := newTokenClient(config.OAuth{TokenURL: url, ClientID: "me", ClientSecretFile: file}, newRenewal(logger), logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// TestTokenEndpointsThatMisbehave: none yields a token, the error says what was wrong, and neither the secret nor what was answered is in it.
func TestTokenEndpointsThatMisbehave(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the secret went elsewhere") }))
	defer elsewhere.Close()
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"unknown client\n","more":"hunter2"}`)
		}, `as client "me": the answer is 401 Unauthorized, "invalid_client": "unknown client\n"`},
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hunter2") }, "ask http"},
		"no token":  {func(w http.ResponseWriter, _ *http.Request) { answerToken(w, "", 60) }, "access_token"},
		"bad token": {func(w http.ResponseWriter, _ *http.Request) { answerToken(w, "hunter2 x", 60) }, "is not one that Kafka takes"},
		"large":     {func(w http.ResponseWriter, _ *http.Request) { answerToken(w, strings.Repeat("t", maxToken+1), 60) }, "is not one that Kafka takes"},
		"endless":   {func(w http.ResponseWriter, _ *http.Request) { answerToken(w, strings.Repeat("t", 2<<20), 60) }, "ask http"},
		"expired":   {func(w http.ResponseWriter, _ *http.Request) { answerToken(w, "t", -1) }, "has expired"},
		"redirected": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "307"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tc.answer)
			defer s.Close()
			token, err := tokensOf(t, s.URL, io.Discard).get(t.Context())
			if err == nil || token != "" || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q, %v, want %s", token, err, tc.want)
			}
		})
	}
}

func answerToken(w http.ResponseWriter, token string, seconds int) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":%d}`, token, seconds)
}

// TestTokensAreSharedAndOutliveTheirEndpoint: one request is for all who wait, and a token is used to its end while there is no other.
func TestTokensAreSharedAndOutliveTheirEndpoint(t *testing.T) {
	const waiters = 8
	var asked, broken atomic.Int64
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1); broken.Load() > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		<-release
		answerToken(w, "first", 3600)
	}))
	defer s.Close()
	var log strings.Builder
	c := tokensOf(t, s.URL, &log)

	short, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.get(short); err == nil || !strings.Contains(err.Error(), "has not answered yet") {
		t.Errorf("while the endpoint is silent: %v", err)
	}
	var all sync.WaitGroup
	for range waiters {
		all.Go(func() {
			if token, err := c.get(t.Context()); err != nil || token != "first" {
				t.Errorf("%q, %v", token, err)
			}
		})
	}
	close(release)
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}

	broken.Store(1)
	c.mu.Lock()
	c.renewAt = time.Now() // as if most of its life were over
	c.mu.Unlock()
	for range waiters {
		if token, err := c.get(t.Context()); err != nil || token != "first" {
			t.Errorf("while the endpoint is broken: %q, %v", token, err)
		}
	}
	if n := testutil.ToFloat64(c.requests.WithLabelValues("failed")); n != 1 {
		t.Errorf("%v requests failed: the endpoint is not left alone", n)
	}
	c.mu.Lock()
	c.expiry, c.notBefore = time.Now(), time.Time{}
	c.mu.Unlock()
	if token, err := c.get(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("once the token has expired: %q, %v", token, err)
	}
	if !strings.Contains(log.String(), "no new token for Kafka, the one before is used") || strings.Contains(log.String(), "hunter2") {
		t.Errorf("logged %s", log.String())
	}
}
