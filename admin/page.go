package admin

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"number": number, "lag": lag, "seconds": seconds, "state": stateText, "time": timeText, "bytes": bytesText, "rate": rateText,
	"latency": latencyText, "stateClass": stateClass, "lagClass": lagClass, "count": countOf, "keys": keysText, "coming": keysComing, "peerPositions": peerPositions,
}).Parse(pageHTML))

// pagePolicy lets the page load what this server has, and nothing else. No script or style is within the page.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// page is the status for people, and a key look-up. It is complete without a script, which keeps it up to date and draws plots.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	look := &lookupView{Topic: r.URL.Query().Get("topic"), Key: r.URL.Query().Get("key")}
	if code, why := s.access.denied(r, private); code != 0 {
		look.Denied = why
	} else if r.URL.Query().Has("key") {
		look.find(s, r)
	}
	rendered, err := s.render(s.statusNow(), time.Now(), look)
	if err != nil {
		writeError(w, http.StatusInternalServerError, "render the page: "+err.Error())
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(rendered.html)
}

// lookupView is the page's key look-up.
type lookupView struct {
	Topic, Key string // as they were asked for
	Denied     string
	Problem    string
	Found      *Lookup
	Tree       *node
}

func (v *lookupView) find(s *Server, r *http.Request) {
	found, problem := s.lookup(r.Context(), r.URL.Query())
	if problem != nil {
		v.Problem = problem.text
		return
	}
	v.Found = found
	if found.Value == nil {
		return
	}
	root, err := tree(found.Value)
	if err != nil {
		v.Problem = "the value is not shown: " + err.Error()
		return
	}
	v.Tree = root
}

// Text is the value where it is not JSON.
func (v *lookupView) Text() string {
	switch {
	case v.Found.ValueText != nil:
		return shortened(*v.Found.ValueText)
	case v.Found.ValueBase64 != nil:
		return shortened(*v.Found.ValueBase64)
	}
	return ""
}

// render makes the page and what its cells say.
func (s *Server) render(status Status, now time.Time, look *lookupView) (*view, error) {
	v := &view{Status: status, Now: now, Look: look, Configuration: s.configuration, NotKept: s.history.notKept(), cells: map[string]cell{}}
	for _, t := range status.Topics {
		v.add(t)
	}
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, v)
	v.html = b.Bytes()
	return v, err
}

// add adds a topic to what is shown of all.
func (v *view) add(t cache.TopicStatus) {
	v.Keys += t.Keys
	v.KeysComing = v.KeysComing || keysComing(t)
	v.Invalid += t.Invalid
	for _, n := range t.Rebuilds {
		v.Rebuilds += n
	}
	for _, p := range t.Partitions {
		if p.Lag < 0 {
			v.LagUnknown = true
		} else {
			v.Lag += p.Lag
		}
		v.WorstLagSeconds = max(v.WorstLagSeconds, p.LagSeconds)
	}
	if t.Reason != "" {
		v.Reasons = append(v.Reasons, t.Name+": "+oneLine(t.Reason))
	}
	if v.Status.Rates != nil {
		v.Applied += v.Status.Rates.AppliedPerSecond[t.Name]
	}
}
