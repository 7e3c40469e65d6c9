package compare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/cache"
)

// Limits towards an instance that does not answer, or too much.
const (
	requestTimeout = 5 * time.Second // of what takes milliseconds
	maxAnswer      = 128 << 20       // 256 recorded digests of a few thousand partitions
	maxErrorText   = 300
)

// ParseAddress takes an admin address as host:port, or as an http or https URL that may have a path before the server's own.
func ParseAddress(s string) (*url.URL, error) {
	text := s
	if !strings.Contains(text, "://") {
		if _, port, err := net.SplitHostPort(text); err != nil || !isPort(port) {
			return nil, fmt.Errorf("%.128q is neither host:port nor an http URL", s)
		}
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") || (u.Port() != "" && !isPort(u.Port())):
		return nil, fmt.Errorf("%.128q is neither host:port nor an http URL", s)
	case u.User != nil:
		return nil, errors.New("an address has no user or password")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%.128q: an address has no query", s)
	}
	return u, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// instance is one of the two.
type instance struct {
	base  *url.URL
	http  *http.Client
	token string
}

// final is an error that asking again would not mend.
type final struct{ error }

func newInstance(base *url.URL, cfg Config) *instance {
	return &instance{base, &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, TLSClientConfig: cfg.TLS.Clone()},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, cfg.Token}
}

func (i *instance) close() { i.http.CloseIdleConnections() }

func (i *instance) String() string { return i.base.Host }

// topics are the names of what the instance serves.
func (i *instance) topics(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var status struct {
		Topics []struct {
			Name string `json:"name"`
		} `json:"topics"`
	}
	if err := i.get(ctx, "status", nil, &status); err != nil {
		return nil, err
	}
	var names []string
	for _, t := range status.Topics {
		names = append(names, t.Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: its status has no topic", i)
	}
	return names, nil
}

// sum is a checksum as it is read: states are names there.
type sum struct {
	cache.Checksum
	State string `json:"state"`
}

func (i *instance) checksum(ctx context.Context, topic string, full bool) (s sum, err error) {
	query := url.Values{"topic": {topic}}
	if full {
		query.Set("full", "true") // for as long as the whole may take
	} else {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
	err = i.get(ctx, "checksum", query, &s)
	if err == nil && s.Topic != topic {
		err = fmt.Errorf("%s: the answer is not a checksum of topic %s", i, topic)
	}
	return s, err
}

// get asks once. Its errors name the instance.
func (i *instance) get(ctx context.Context, path string, query url.Values, into any) error {
	u := i.base.JoinPath("api/v1", path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("%s: %w", i, err)
	}
	if i.token != "" {
		req.Header.Set("Authorization", "Bearer "+i.token)
	}
	resp, err := i.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL
		}
		if strings.Contains(err.Error(), "malformed HTTP") { // net/http has no error to tell it by
			return final{fmt.Errorf("%s: what answers does not speak HTTP: the address that is needed is that of --admin-addr", i)}
		}
		return fmt.Errorf("%s: %w", i, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: read the answer: %w", i, err)
	case len(body) > maxAnswer:
		return fmt.Errorf("%s: the answer is longer than %d bytes", i, maxAnswer)
	case resp.StatusCode != http.StatusOK:
		return i.refused(resp.Status, resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: the answer to /api/v1/%s is not kafka-cache's: %w", i, path, err)
	}
	return nil
}

func (i *instance) refused(status string, code int, body []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &said); err != nil || said.Error == "" {
		return fmt.Errorf("%s: %s: this is perhaps not an admin address", i, clean(status))
	}
	err := fmt.Errorf("%s: %s", i, clean(said.Error))
	if code == http.StatusNotFound || code == http.StatusUnauthorized {
		return final{err}
	}
	return err
}

// clean keeps what another process says on one line of a terminal, and short.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxErrorText {
		s = strings.ToValidUTF8(s[:maxErrorText], "") + "…"
	}
	return s
}
