package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/yolean/kafka-cache/core/cache"
)

// Limits of key look-ups. Values that are longer are read over RESP.
const (
	maxLookups     = 4
	maxLookupValue = 1 << 20
	lookupTime     = 2 * time.Second
)

// Lookup is a key with what the log says of it, at one moment of the instance.
type Lookup struct {
	Topic string `json:"topic"`
	// Key as clients have it, as text, or as KeyBase64 where it is not UTF-8.
	Key       string `json:"key,omitempty"`
	KeyBase64 string `json:"keyBase64,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Timestamp string `json:"timestamp,omitempty"` // the record's, as in RFC 3339; empty where it has none
	// Source is the key of the record that yielded the entry, where that is another.
	Source  string         `json:"source,omitempty"`
	Headers []LookupHeader `json:"headers"`
	// HeldOver is the offset of a newer record of the key that a rule refused; 0: there is none.
	HeldOver int64 `json:"heldOver,omitempty"`
	// Of Value (JSON), ValueText and ValueBase64 there is the first that can hold the value; none where ValueBytes is more than 1 MiB.
	ValueBytes  int             `json:"valueBytes"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueText   *string         `json:"valueText,omitempty"`
	ValueBase64 *string         `json:"valueBase64,omitempty"`
}

// LookupHeader is a header of a record.
type LookupHeader struct {
	Key         string  `json:"key"`
	Value       *string `json:"value,omitempty"` // where it is text
	ValueBase64 *string `json:"valueBase64,omitempty"`
}

// lookupError is one with its status.
type lookupError struct {
	code int
	text string
}

func (e *lookupError) Error() string { return e.text }

// lookup looks for what the query asks for: topic=NAME and key=TEXT or key64=BASE64.
func (s *Server) lookup(ctx context.Context, query url.Values) (*Lookup, *lookupError) {
	key := []byte(query.Get("key"))
	switch {
	case query.Get("topic") == "":
		return nil, &lookupError{http.StatusBadRequest, "which topic? /api/v1/key?topic=NAME&key=KEY"}
	case query.Has("key") && query.Has("key64"):
		return nil, &lookupError{http.StatusBadRequest, "key and key64 are two ways to give one key"}
	case query.Has("key64"):
		var err error
		if key, err = base64.StdEncoding.DecodeString(query.Get("key64")); err != nil {
			return nil, &lookupError{http.StatusBadRequest, "key64 is not base64"}
		}
	}
	if len(key) == 0 {
		return nil, &lookupError{http.StatusBadRequest, "which key? A key is not empty"}
	}
	topic, err := s.cache.Topic(query.Get("topic"))
	if err != nil {
		return nil, &lookupError{http.StatusNotFound, err.Error()}
	}
	select {
	case s.lookups <- struct{}{}:
		defer func() { <-s.lookups }()
	default:
		return nil, &lookupError{http.StatusTooManyRequests, "other look-ups are under way"}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	found := &Lookup{Topic: topic.Name(), Headers: []LookupHeader{}}
	found.Key, found.KeyBase64 = textOrBase64(key)
	err = topic.Snapshot(ctx, func(at *cache.Snapshot) error { return found.read(at, key) })
	switch {
	case errors.Is(err, cache.ErrNotFound):
		return nil, &lookupError{http.StatusNotFound, "the key has no value"}
	case err != nil:
		return nil, &lookupError{http.StatusServiceUnavailable, err.Error()}
	}
	return found, nil
}

// read fills in what is there at one moment.
func (l *Lookup) read(at *cache.Snapshot, key []byte) error {
	n, ok, err := at.ValueLen(key)
	if err != nil {
		return err
	}
	if !ok {
		return cache.ErrNotFound
	}
	meta, err := at.Meta(key)
	if err != nil {
		return err
	}
	l.Partition, l.Offset, l.HeldOver, l.ValueBytes = meta.Partition, meta.Offset, meta.Held, n
	if meta.Timestamp >= 0 {
		l.Timestamp = time.UnixMilli(meta.Timestamp).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	if meta.Source != nil {
		text, encoded := textOrBase64(meta.Source)
		l.Source = text + encoded
	}
	for _, h := range meta.Headers {
		header := LookupHeader{Key: string(h.Key)}
		header.Value, header.ValueBase64 = valueOrBase64(h.Value)
		l.Headers = append(l.Headers, header)
	}
	if n > maxLookupValue {
		return nil
	}
	value, err := at.Get(key)
	if err != nil {
		return err
	}
	if json.Valid(value) {
		l.Value = value
		return nil
	}
	l.ValueText, l.ValueBase64 = valueOrBase64(value)
	return nil
}

func textOrBase64(b []byte) (text, encoded string) {
	if utf8.Valid(b) {
		return string(b), ""
	}
	return "", base64.StdEncoding.EncodeToString(b)
}

func valueOrBase64(b []byte) (text, encoded *string) {
	t, e := textOrBase64(b)
	if e != "" {
		return nil, &e
	}
	return &t, nil
}

func (s *Server) serveLookup(w http.ResponseWriter, r *http.Request) {
	found, problem := s.lookup(r.Context(), r.URL.Query())
	if problem != nil {
		if problem.code == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		writeError(w, problem.code, problem.text)
		return
	}
	writeJSON(w, http.StatusOK, found)
}
