package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"number":  number,
	"lag":     lag,
	"seconds": seconds,
	"state":   stateText,
	"time":    func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"good":    func(s cache.State) bool { return s == cache.Ready },
}).Parse(pageHTML))

// pagePolicy allows the page its own style sheet, by hash, and nothing else.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// page is the status for people. It needs no script, and loads itself again every few seconds.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	html, err := renderPage(s.cache.Status(), time.Now())
	if err != nil {
		writeError(w, http.StatusInternalServerError, "render the page: "+err.Error())
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(html)
}

func renderPage(status cache.Status, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		Status cache.Status
		Now    time.Time
		CSS    template.CSS
	}{status, now, template.CSS(pageCSS)})
	return b.Bytes(), err
}
