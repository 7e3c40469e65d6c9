package admin

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
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
	for path, route := range map[string]struct {
		level level
		h     http.Handler
	}{
		"/livez":                 {anyone, http.HandlerFunc(livez)},
		"/readyz":                {anyone, http.HandlerFunc(s.readyz)},
		"/healthz":               {anyone, http.HandlerFunc(livez)},
		"/metrics":               {authorized, metrics},
		"/{$}":                   {authorized, s.turns.during(http.HandlerFunc(s.page))},
		"/assets/{file...}":      {authorized, http.HandlerFunc(serveAsset)},
		"/api/v1/status":         {authorized, s.turns.during(http.HandlerFunc(s.status))},
		"/api/v1/history":        {authorized, s.turns.during(http.HandlerFunc(s.serveHistory))},
		"/api/v1/events":         {authorized, http.HandlerFunc(s.events)},
		"/api/v1/config":         {authorized, http.HandlerFunc(s.effective)},
		"/api/v1/openapi.yaml":   {authorized, http.HandlerFunc(serveOpenAPI)},
		"/api/v1/checksum":       {authorized, s.checksums},
		"/api/v1/invalid":        {private, s.turns.during(http.HandlerFunc(s.invalid))},
		"/api/v1/key":            {private, s.turns.during(http.HandlerFunc(s.serveLookup))},
		"/debug/pprof/{$}":       {private, http.HandlerFunc(s.profiles.index)},
		"/debug/pprof/{profile}": {private, s.profiles},
	} {
		mux.Handle(path, readOnly(s.access.guard(route.level, route.h)))
		s.paths = append(s.paths, path)
	}
	slices.Sort(s.paths)
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
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
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
