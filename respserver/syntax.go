package respserver

import (
	"fmt"
	"strings"

	"github.com/yolean/kafka-cache/respserver/resp"
)

// argument is one of a command's, as COMMAND DOCS has them: what redis-cli makes its hints of.
type argument struct {
	name, kind, token  string // kind is Redis's type; pure-token and oneof are kinds too
	optional, multiple bool
	repeatsToken       bool // where it is multiple
	keySpec            bool
	arguments          []*argument // of oneof and block
}

// parseSyntax reads the notation of signatures. It panics where that is wrong, which every test would find.
//
//	word, word:type     an argument; its type is string, or what typeOf says of its name
//	TOKEN               a word to be sent as it is; before an argument or (…) it introduces that
//	[…]  {name: …}  (name: …|…)    optional, together, one of them
//	…...                any number of them, each with its token where that is within
func parseSyntax(s string) []*argument {
	p := syntaxParser{words: strings.Fields(syntaxSpacing.Replace(s)), all: s}
	args := p.sequence()
	if len(p.words) > 0 {
		p.wrong()
	}
	return args
}

var syntaxSpacing = strings.NewReplacer("[", " [ ", "]", " ] ", "{", " { ", "}", " } ", "(", " ( ", ")", " ) ", "|", " | ", "...", " ... ")

type syntaxParser struct {
	words []string
	all   string
}

func (p *syntaxParser) wrong() {
	panic(fmt.Sprintf("respserver: wrong syntax %q at %q", p.all, p.words))
}

func (p *syntaxParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *syntaxParser) next() string {
	w := p.peek()
	if w == "" {
		p.wrong()
	}
	p.words = p.words[1:]
	return w
}

func (p *syntaxParser) expect(w string) {
	if p.peek() != w {
		p.wrong()
	}
	p.words = p.words[1:]
}

func (p *syntaxParser) sequence() (all []*argument) {
	for {
		switch p.peek() {
		case "", "]", "}", ")", "|":
			return all
		}
		a := p.one()
		if p.peek() == "..." {
			p.words = p.words[1:]
			a.multiple = true
			a.repeatsToken = a.optional && a.token != "" && a.kind != "pure-token"
		}
		all = append(all, a)
	}
}

func (p *syntaxParser) one() *argument {
	switch w := p.next(); {
	case w == "[":
		all := p.sequence()
		if len(all) != 1 {
			p.wrong()
		}
		p.expect("]")
		all[0].optional = true
		return all[0]
	case w == "{":
		a := &argument{name: strings.TrimSuffix(p.next(), ":"), kind: "block"}
		a.arguments = p.sequence()
		p.expect("}")
		return a
	case w == "(":
		a := &argument{name: strings.TrimSuffix(p.next(), ":"), kind: "oneof"}
		for {
			all := p.sequence()
			if len(all) != 1 {
				p.wrong()
			}
			a.arguments = append(a.arguments, all[0])
			if p.peek() != "|" {
				break
			}
			p.words = p.words[1:]
		}
		p.expect(")")
		return a
	case w == strings.ToUpper(w):
		if after := p.peek(); after == "(" || after == "{" || isName(after) {
			a := p.one()
			a.token = w
			if p.peek() == "..." { // of the argument, after the token once
				p.words = p.words[1:]
				a.multiple = true
			}
			return a
		}
		return &argument{name: strings.ToLower(w), kind: "pure-token", token: w}
	case isName(w):
		a := &argument{name: w}
		if i := strings.LastIndexByte(w, ':'); i >= 0 {
			a.name, a.kind = w[:i], w[i+1:]
		} else {
			a.kind = typeOf(w)
		}
		a.keySpec = a.kind == "key"
		return a
	}
	p.wrong()
	return nil
}

func isName(w string) bool { return w != "" && w[0] >= 'a' && w[0] <= 'z' }

func typeOf(name string) string {
	switch name {
	case "key", "pattern":
		return name
	case "count", "cursor", "index", "offset", "milliseconds", "timeout", "numreplicas", "numlocal", "client-id", "maxage", "protover":
		return "integer"
	}
	return "string"
}

// appendTo appends the map of the argument.
func (a *argument) appendTo(dst []byte, v resp.Version) []byte {
	n := 2
	shown := a.kind != "oneof" && a.kind != "block"
	for _, more := range []bool{shown, a.keySpec, a.token != "", a.optional || a.multiple, len(a.arguments) > 0} {
		if more {
			n++
		}
	}
	text := func(k, v string) {
		dst = resp.AppendBulkString(dst, k)
		dst = resp.AppendBulkString(dst, v)
	}
	dst = resp.AppendMap(dst, v, n)
	text("name", a.name)
	text("type", a.kind)
	if shown {
		text("display_text", a.name)
	}
	if a.keySpec {
		dst = resp.AppendBulkString(dst, "key_spec_index")
		dst = resp.AppendInt(dst, 0)
	}
	if a.token != "" {
		text("token", a.token)
	}
	if a.optional || a.multiple {
		var flags []string
		if a.optional {
			flags = append(flags, "optional")
		}
		if a.multiple {
			flags = append(flags, "multiple")
		}
		if a.repeatsToken {
			flags = append(flags, "multiple_token")
		}
		dst = resp.AppendBulkString(dst, "flags")
		dst = appendStatuses(dst, v, flags)
	}
	if len(a.arguments) > 0 {
		dst = resp.AppendBulkString(dst, "arguments")
		dst = appendArguments(dst, v, a.arguments)
	}
	return dst
}

func appendArguments(dst []byte, v resp.Version, all []*argument) []byte {
	dst = resp.AppendArray(dst, len(all))
	for _, a := range all {
		dst = a.appendTo(dst, v)
	}
	return dst
}

// signature is how people read arguments, as in a container's HELP.
func signature(all []*argument) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}

// String is the argument as people read it.
func (a *argument) String() string {
	var s string
	switch a.kind {
	case "pure-token":
		s = a.token
	case "block":
		s = signature(a.arguments)
	case "oneof":
		words := make([]string, len(a.arguments))
		for i, b := range a.arguments {
			words[i] = b.String()
		}
		if s = strings.Join(words, "|"); !a.optional || a.token != "" {
			s = "(" + s + ")"
		}
	default:
		s = "<" + a.name + ">"
	}
	whole := s
	if a.token != "" && a.kind != "pure-token" {
		whole = a.token + " " + s
	}
	if a.multiple {
		again := s
		if a.repeatsToken {
			again = whole
		}
		whole += " [" + again + " ...]"
	}
	if a.optional {
		return "[" + whole + "]"
	}
	return whole
}
