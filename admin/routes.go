package admin

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/yolean/kafka-cache/core/cache"
)

func (s *Server) routes(registry *prometheus.Registry, errorLog *log.Logger) http.Handler {
	metrics := promhttp.InstrumentMetricHandler(registry, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            errorLog,
		ErrorHandling:       promhttp.ContinueOnError,
		Registry:            registry,
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
		EnableOpenMetrics:   true,
	}))
	mux := http.NewServeMux()
	for path, h := range map[string]http.Handler{
		"/metrics":         metrics,
		"/livez":           http.HandlerFunc(livez),
		"/readyz":          http.HandlerFunc(s.readyz),
		"/healthz":         http.HandlerFunc(livez),
		"/api/v1/status":   http.HandlerFunc(s.status),
		"/api/v1/checksum": s.checksums,
		"/api/v1/invalid":  http.HandlerFunc(s.invalid),
		"/{$}":             http.HandlerFunc(s.page),
	} {
		mux.Handle(path, readOnly(h))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "no such path")
	})
	return http.MaxBytesHandler(headers(mux), maxBodyBytes)
}

// headers are those of every answer. Pages set a content security policy of their own.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeError(w, http.StatusMethodNotAllowed, "only GET and HEAD are answered here")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// livez says that the process answers, and nothing of Kafka: restarting an instance does not mend a broker. /healthz is its
// alias rather than that of /readyz, since as somebody's liveness probe it must not end a pod that is loading.
func livez(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	status := struct {
		cache.Status
		Peers any `json:"peers,omitempty"`
	}{Status: s.cache.Status()}
	if s.peers != nil {
		status.Peers = s.peers()
	}
	writeJSON(w, http.StatusOK, status)
}

func writeError(w http.ResponseWriter, code int, text string) {
	writeJSON(w, code, struct {
		Error string `json:"error"`
	}{text})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "encode: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // a peer that has left has nobody to tell
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}
