package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/codec/registry"
	"github.com/yolean/kafka-cache/respserver/peers"
)

// value is one kind of option, bound to its field. parse is strict and names what it was given; String is what parse takes.
type value interface {
	parse(string) error
	String() string
}

// appendable is a value that several assignments from one source add to.
type appendable interface {
	value
	reset()
	items() []string
}

const time1ms = time.Millisecond

type text struct{ p *string }

func (v text) parse(s string) error { *v.p = s; return nil }
func (v text) String() string       { return *v.p }

type boolean struct{ p *bool }

func (v boolean) parse(s string) error {
	switch s {
	case "true":
		*v.p = true
	case "false":
		*v.p = false
	default:
		return fmt.Errorf("%.64q is neither true nor false", s)
	}
	return nil
}
func (v boolean) String() string { return strconv.FormatBool(*v.p) }

type duration struct {
	p   *time.Duration
	min time.Duration
}

func (v duration) parse(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%.64q is not a duration such as 500ms, 1s or 1m30s", s)
	}
	if d < v.min {
		return fmt.Errorf("%s is less than %s", s, v.min)
	}
	*v.p = d
	return nil
}
func (v duration) String() string { return v.p.String() }

type count struct {
	p   *int
	min int
}

func (v count) parse(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("%.64q is not a whole number", s)
	}
	if n < v.min {
		return fmt.Errorf("%d is less than %d", n, v.min)
	}
	*v.p = n
	return nil
}
func (v count) String() string { return strconv.Itoa(*v.p) }

type choice struct {
	p       *string
	allowed []string
	empty   bool
}

func (v choice) parse(s string) error {
	if !slices.Contains(v.allowed, s) && (s != "" || !v.empty) {
		return fmt.Errorf("%.64q is none of %s", s, strings.Join(v.allowed, ", "))
	}
	*v.p = s
	return nil
}
func (v choice) String() string { return *v.p }

// encoding is one of keys or of values; its alias becomes its canonical name.
type encoding struct {
	p    *string
	keys bool
}

func (v encoding) names() string {
	if v.keys {
		return strings.Join(codec.KeyNames(), ", ")
	}
	return strings.Join(append(codec.Names(), registry.Names()...), ", ")
}

func (v encoding) parse(s string) error {
	if slices.Contains(registry.Names(), s) {
		if v.keys {
			return fmt.Errorf("%s is for values alone: known for keys are %s", s, v.names())
		}
		*v.p = s
		return nil
	}
	c, err := codec.ByName(s)
	if err != nil {
		return fmt.Errorf("unknown encoding %.64q: known are %s", s, v.names())
	}
	if v.keys {
		if err := codec.CheckKey(c); err != nil {
			return fmt.Errorf("%w: known for keys are %s", err, v.names())
		}
	}
	*v.p = c.Name()
	return nil
}
func (v encoding) String() string { return *v.p }

type identity struct{ p *string }

// maxIdentity is what fits into a metric's label and a topic-like name alike.
const maxIdentity = 249

func (v identity) parse(s string) error {
	if s == "" || len(s) > maxIdentity || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%.64q is not 1 to %d printable ASCII characters without spaces", s, maxIdentity)
	}
	*v.p = s
	return nil
}
func (v identity) String() string { return *v.p }

// listenAddr is host:port, of which the host may be empty and the port 0.
type listenAddr struct{ p *string }

func (v listenAddr) parse(s string) error {
	if _, err := splitAddr(s, 0); err != nil {
		return err
	}
	*v.p = s
	return nil
}
func (v listenAddr) String() string { return *v.p }

func splitAddr(s string, minPort int) (host string, err error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		var addrErr *net.AddrError
		if errors.As(err, &addrErr) {
			return "", fmt.Errorf("%.128q is not host:port: %s", s, addrErr.Err)
		}
		return "", fmt.Errorf("%.128q is not host:port", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < minPort || n > 65535 {
		return "", fmt.Errorf("%.128q is not host:port: %.32q is not a port number from %d to 65535", s, port, minPort)
	}
	if strings.ContainsAny(host, "/ \t@") {
		return "", fmt.Errorf("%.128q is not host:port: %.64q is not a host name", s, host)
	}
	return host, nil
}

type list struct{ p *[]string }

// parse adds what s has between commas.
func (v list) parse(s string) error {
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return fmt.Errorf("%.128q has an empty name", s)
		}
		*v.p = append(*v.p, item)
	}
	return nil
}
func (v list) String() string  { return strings.Join(*v.p, ",") }
func (v list) reset()          { *v.p = nil }
func (v list) items() []string { return *v.p }

// registryURLs are addresses of a schema registry; nothing is none.
type registryURLs struct{ p *[]string }

func (v registryURLs) parse(s string) error {
	if s == "" {
		return nil
	}
	var added []string
	if err := (list{&added}).parse(s); err != nil {
		return errors.New("an address is missing between commas") // without what may be a password
	}
	for _, a := range added {
		if err := registry.CheckURL(a); err != nil {
			return err
		}
	}
	*v.p = append(*v.p, added...)
	return nil
}
func (v registryURLs) String() string  { return list{v.p}.String() }
func (v registryURLs) reset()          { *v.p = nil }
func (v registryURLs) items() []string { return *v.p }

// peerAddrs are addresses of other instances; nothing is none.
type peerAddrs struct{ p *[]string }

func (v peerAddrs) parse(s string) error {
	if s == "" {
		return nil
	}
	var added []string
	if err := (list{&added}).parse(s); err != nil {
		return err
	}
	for _, a := range added {
		if err := peers.CheckAddr(a); err != nil {
			return err
		}
	}
	*v.p = append(*v.p, added...)
	return nil
}
func (v peerAddrs) String() string  { return list{v.p}.String() }
func (v peerAddrs) reset()          { *v.p = nil }
func (v peerAddrs) items() []string { return *v.p }

type brokers struct{ p *[]string }

func (v brokers) parse(s string) error {
	var added []string
	if err := (list{&added}).parse(s); err != nil {
		return err
	}
	for _, a := range added {
		host, err := splitAddr(a, 1)
		if err != nil {
			return err
		}
		if host == "" {
			return fmt.Errorf("%.128q is not host:port: the host is missing", a)
		}
	}
	*v.p = append(*v.p, added...)
	return nil
}
func (v brokers) String() string  { return list{v.p}.String() }
func (v brokers) reset()          { *v.p = nil }
func (v brokers) items() []string { return *v.p }
