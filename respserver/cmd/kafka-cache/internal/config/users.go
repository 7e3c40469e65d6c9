package config

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/yolean/kafka-cache/respserver"
)

// User is an entry of users in the file.
type User struct {
	Name           string
	PasswordFile   string   // empty: none
	PasswordSHA256 []string // in hex
	Admin          bool
	Topics         []TopicRight
	at             string // where it stands, as it begins an error's line
}

// TopicRight is what a user may do with a topic, or with all that are not named.
type TopicRight struct {
	Topic string // "*": the others
	Right respserver.Right
}

// otherTopics stands for the topics that a user's entry does not name.
const otherTopics = "*"

func parseUsers(path, dir, source string, n *yaml.Node) ([]User, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s: is not a list", source)
	}
	var all []User
	for _, item := range n.Content {
		u := User{at: fmt.Sprintf("%s:%d: users", path, item.Line)}
		if s, err := scalar(item); err == nil {
			return nil, fmt.Errorf("%s: a user is written \"- name: %.64s\"", u.at, s)
		}
		err := eachKey(path, item, func(key, source string, v *yaml.Node) error {
			switch key {
			case "topics":
				return u.parseTopics(path, v)
			case "password-sha256":
				hashes, err := texts(v)
				if err != nil {
					return fmt.Errorf("%s: %w", source, err)
				}
				for _, h := range hashes {
					if h == hiddenHash {
						return fmt.Errorf("%s: %s stands for a hash that is not shown", source, hiddenHash)
					}
					if b, err := hex.DecodeString(h); err != nil || len(b) != 32 {
						return fmt.Errorf("%s: is not a SHA-256 of 64 hexadecimal digits", source) // without what may be a password
					}
				}
				u.PasswordSHA256 = hashes
				return nil
			}
			s, err := scalar(v)
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
			switch key {
			case "name":
				u.Name = s
			case "password-file":
				u.PasswordFile = inDir(dir, s)
			case "admin":
				err = boolean{&u.Admin}.parse(s)
			default:
				return fmt.Errorf("%s: unknown key (a user has name, password-file, password-sha256, admin, topics)", source)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", source, err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if u.Name == "" {
			return nil, fmt.Errorf("%s: a user without a name", u.at)
		}
		all = append(all, u)
	}
	return all, nil
}

// texts is a node's text, or its items'.
func texts(n *yaml.Node) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		s, err := scalar(n)
		return []string{s}, err
	}
	var all []string
	for _, item := range n.Content {
		s, err := scalar(item)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (u *User) parseTopics(path string, n *yaml.Node) error {
	return eachKey(path, n, func(name, source string, v *yaml.Node) error {
		s, err := scalar(v)
		if err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
		for _, r := range []respserver.Right{respserver.MayNothing, respserver.MayRead, respserver.MayWrite} {
			if s == r.String() {
				u.Topics = append(u.Topics, TopicRight{name, r})
				return nil
			}
		}
		return fmt.Errorf("%s: %.64q is none of none, read, write", source, s)
	})
}

// checkUsers checks what needs the rest of the configuration.
func (c *Config) checkUsers() error {
	seen := map[string]bool{}
	for _, u := range c.Users {
		if seen[u.Name] {
			return fmt.Errorf("%s: user %.64q is given twice", u.at, u.Name)
		}
		seen[u.Name] = true
		if strings.ContainsFunc(u.Name, func(r rune) bool { return r <= ' ' || r > '~' }) || len(u.Name) > 128 {
			return fmt.Errorf("%s: %.64q is not a user's name: 1 to 128 printable ASCII characters without blanks", u.at, u.Name)
		}
		for _, t := range u.Topics {
			if t.Topic != otherTopics && !slices.ContainsFunc(c.Topics, func(known Topic) bool { return known.Name == t.Topic }) {
				return fmt.Errorf("%s: user %q: there is no topic %.64q", u.at, u.Name, t.Topic)
			}
		}
		if u.PasswordFile == "" && len(u.PasswordSHA256) == 0 && u.Name != respserver.DefaultUser && c.RESPTLSAuthClientsUser == "off" {
			return fmt.Errorf("%s: user %q could not log in: it needs password-file or password-sha256, or --resp-tls-auth-clients-user=CN", u.at, u.Name)
		}
	}
	return nil
}

// hiddenHash stands for the hash of a password, which tells a guesser whether it has guessed. It is not taken as one: what is printed does not start with
// another password than the one that was configured.
const hiddenHash = "(hidden)"

// renderUsers writes the users as the file has them, without the hashes of passwords.
func renderUsers(b *strings.Builder, users []User) {
	if len(users) == 0 {
		return
	}
	b.WriteString("users:\n")
	for _, u := range users {
		fmt.Fprintf(b, "  - name: %s\n    admin: %t\n", quote(u.Name), u.Admin)
		if u.PasswordFile != "" {
			fmt.Fprintf(b, "    password-file: %s\n", quote(absolute(u.PasswordFile)))
		}
		if len(u.PasswordSHA256) > 0 {
			fmt.Fprintf(b, "    password-sha256: [%s]\n", strings.Join(slices.Repeat([]string{`"` + hiddenHash + `"`}, len(u.PasswordSHA256)), ", "))
		}
		if len(u.Topics) > 0 {
			b.WriteString("    topics:\n")
		}
		for _, t := range u.Topics {
			fmt.Fprintf(b, "      %s: %s\n", quote(t.Topic), t.Right)
		}
	}
}
