package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/yolean/kafka-cache/core/codec"
)

// maxResponse bounds a reply of the registry.
const maxResponse = 4 << 20

// errMissing is what the registry says of an id, a subject or a version that it does not have.
var errMissing = errors.New("the registry does not have it")

// client asks the registry. Its errors are errMissing, codec.ErrUnavailable or ctx's.
type client struct {
	sr        *sr.Client
	transport *http.Transport
}

func newClient(cfg Config) (*client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.TLS != nil {
		transport.TLSClientConfig = cfg.TLS.Clone()
	}
	options := []sr.ClientOpt{sr.URLs(cfg.URLs...), sr.UserAgent("kafka-cache"), sr.HTTPClient(&http.Client{
		Transport: bounded{transport},
		Timeout:   cfg.Timeout,
		// A registry does not redirect; what does is a proxy or a login page, and gets no credentials.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})}
	if cfg.User != "" {
		options = append(options, sr.BasicAuth(cfg.User, cfg.Password))
	}
	c, err := sr.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &client{c, transport}, nil
}

// byID is a schema's text; refs are the schemas that it refers to.
func (c *client) byID(ctx context.Context, id int) (sr.Schema, error) {
	s, err := c.sr.SchemaByID(ctx, id)
	return s, c.judge(ctx, fmt.Sprintf("schema %d", id), s, err)
}

// byVersion is a version of a subject, also one that was deleted softly since something refers to it still; -1 is the latest.
func (c *client) byVersion(ctx context.Context, subject string, version int) (sr.SubjectSchema, error) {
	what := fmt.Sprintf("version %d of subject %.100s", version, subject)
	if version < 0 {
		what = fmt.Sprintf("the latest schema of subject %.100s", subject)
	} else {
		ctx = sr.WithParams(ctx, sr.ShowDeleted)
	}
	s, err := c.sr.SchemaByVersion(ctx, subject, version)
	return s, c.judge(ctx, what, s.Schema, err)
}

// judge tells what the registry does not have, in its own words, from everything else that can be wrong with a reply: a 404 of something in
// between says nothing of a schema.
func (c *client) judge(ctx context.Context, what string, s sr.Schema, err error) error {
	var reply *sr.ResponseError
	switch {
	case err == nil && s.Schema != "":
		return nil
	case err == nil:
		err = errors.New("the reply has no schema")
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &reply):
		switch reply.ErrorCode {
		case sr.ErrSubjectNotFound.Code, sr.ErrVersionNotFound.Code, sr.ErrSchemaNotFound.Code, sr.ErrSubjectSoftDeleted.Code, sr.ErrSchemaVersionSoftDeleted.Code:
			if reply.StatusCode == http.StatusNotFound {
				return fmt.Errorf("%s: %w", what, errMissing)
			}
		}
		err = fmt.Errorf("the registry answers %d: %s", reply.StatusCode, oneLine(reply.Error()))
	}
	return fmt.Errorf("%w: %s: %s", codec.ErrUnavailable, what, oneLine(err.Error()))
}

// bounded refuses replies that are too large before they are read whole.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := b.next.RoundTrip(r)
	if err == nil {
		reply.Body = &boundedBody{reply.Body, maxResponse}
	}
	return reply, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, fmt.Errorf("the reply has more than %d bytes", maxResponse)
	}
	return n, err
}

// oneLine is s on one line of bounded length.
func oneLine(s string) string {
	const most = 200
	s = strings.ToValidUTF8(s, "?")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)), " ")
}
