package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
)

// level is who may ask for a path.
type level int

const (
	anyone     level = iota // also where credentials are asked for: probes, which have none
	authorized              // who has a credential, where there are any
	private                 // who has a credential; where there are none, who asks over loopback
)

// access says who may ask for what. It is safe for concurrent use.
type access struct {
	tokens       atomic.Pointer[[][sha256.Size]byte] // nil: none
	certificates bool                                // a client certificate that the TLS configuration verified is a credential
}

// SetTokens replaces the bearer tokens, any of which is accepted; none: no token is asked for. It keeps their hashes only, and may be called at any time.
func (s *Server) SetTokens(tokens [][]byte) { s.access.set(tokens) }

func (a *access) set(tokens [][]byte) {
	if len(tokens) == 0 {
		a.tokens.Store(nil)
		return
	}
	hashes := make([][sha256.Size]byte, len(tokens))
	for i, t := range tokens {
		hashes[i] = sha256.Sum256(t)
	}
	a.tokens.Store(&hashes)
}

func (a *access) configured() bool { return a.certificates || a.tokens.Load() != nil }

// denied is why a request is refused and with which status; 0: it is not.
func (a *access) denied(r *http.Request, l level) (int, string) {
	switch {
	case l == anyone:
		return 0, ""
	case a.configured():
		if !a.authorized(r) {
			return http.StatusUnauthorized, "a bearer token or a client certificate is needed"
		}
	case l == private && !local(r):
		return http.StatusForbidden, "this is answered over loopback only, unless --admin-token-file or --admin-tls-client-ca is set"
	}
	return 0, ""
}

func (a *access) authorized(r *http.Request) bool {
	if a.certificates && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	hashes := a.tokens.Load()
	if hashes == nil {
		return false
	}
	// A browser asks for a password and cannot send a bearer token by itself: the token as the password, with any name, is the same to us.
	_, token, ok := r.BasicAuth()
	if !ok {
		scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return false
		}
		token = strings.TrimSpace(rest)
	}
	sum := sha256.Sum256([]byte(token))
	found := 0
	for i := range *hashes {
		found |= subtle.ConstantTimeCompare(sum[:], (*hashes)[i][:])
	}
	return found == 1
}

// local is whether a request was made on this machine, for this machine: a name that is not loopback's in Host is that of a page which had its
// own name resolved to loopback, and a proxy's header that of somebody else's request.
func local(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !loopback(host) {
		return false
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	name := r.Host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	return strings.EqualFold(name, "localhost") || loopback(strings.Trim(name, "[]"))
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// guard refuses who may not ask.
func (a *access) guard(l level, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, why := a.denied(r, l)
		if code == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if code == http.StatusUnauthorized && a.tokens.Load() != nil {
			w.Header().Add("WWW-Authenticate", `Bearer realm="kafka-cache"`)
			w.Header().Add("WWW-Authenticate", `Basic realm="kafka-cache: the token is the password", charset="UTF-8"`)
		}
		writeError(w, code, why)
	})
}
