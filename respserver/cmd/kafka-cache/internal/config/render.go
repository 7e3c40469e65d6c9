package config

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// WriteHelp writes what --help of serve shows.
func WriteHelp(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Usage: kafka-cache serve --topic NAME [--topic NAME …] [options]\n       kafka-cache serve --dev [options]\n" +
		"       kafka-cache config …, with the same options: checks them, prints what is in effect, and ends\n\n" +
		"Each option can be given as a flag, as an environment variable, or under its flag's name in the file of\n" +
		"--config; a flag wins over a variable, that over the file. An empty variable counts as not set.\n")
	for _, section := range sections {
		fmt.Fprintf(&b, "\n%s\n", section)
		for i := range options {
			o := &options[i]
			if o.section != section {
				continue
			}
			flag := "--" + o.name
			if o.arg != "" {
				flag += " " + o.arg
			}
			fmt.Fprintf(&b, "  %s\n", flag)
			wrap(&b, "      ", 96, o.help+" "+o.defaultText()+" ["+o.env()+"]")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (o *option) defaultText() string {
	switch {
	case o.show != "":
		return "(default: " + o.show + ")"
	case o.def == "":
		return "(default: empty)"
	case o.dev != "":
		return fmt.Sprintf("(default: %s; with --dev: %s)", o.def, o.dev)
	}
	return "(default: " + o.def + ")"
}

func wrap(b *strings.Builder, indent string, width int, s string) {
	line := indent
	for _, word := range strings.Fields(s) {
		if len(line)+1+len(word) > width && line != indent {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}

// WriteDocs writes the reference page, docs/configuration.md.
func WriteDocs(w io.Writer) error {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, section := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| Flag, and key in the file | Variable | Default | |\n| --- | --- | --- | --- |\n", section)
		for i := range options {
			o := &options[i]
			if o.section != section {
				continue
			}
			name := "`--" + o.name + "`"
			if o.arg != "" {
				name = "`--" + o.name + " " + o.arg + "`"
			}
			if o.noFile {
				name += " (not in the file)"
			}
			fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", name, o.env(), o.docsDefault(), strings.ReplaceAll(o.help, "|", "\\|"))
		}
	}
	b.WriteString(docsTail)
	_, err := io.WriteString(w, b.String())
	return err
}

func (o *option) docsDefault() string {
	def := "`" + o.def + "`"
	switch {
	case o.show != "":
		def = strings.ReplaceAll(o.show, "<", "&lt;")
	case o.def == "":
		def = "empty"
	}
	if o.dev != "" {
		def += ", with `--dev` `" + o.dev + "`"
	}
	return def
}

const docsHead = `# Configuration

<!-- Made by "kafka-cache docs" from the table of options; do not edit. -->

Each option of ` + "`kafka-cache serve`" + ` can be given as a flag, as an environment variable, or as a key of the YAML file that ` + "`--config`" + `
names. A flag wins over a variable, a variable over the file, the file over the default.

- A boolean flag is written ` + "`--name`, `--name=true` or `--name=false`" + `.
- An empty variable counts as not set. An unknown variable that begins with ` + "`KCACHE_`" + ` is warned of; an unknown flag or key is an error.
- Passwords come from files, never from a flag or a variable.
- Durations are written ` + "`500ms`, `1s`, `1m30s`" + `.
- ` + "`kafka-cache config`" + ` with the same arguments checks the configuration, and prints what is in effect and where each value comes
  from, as a file that ` + "`--config`" + ` takes. What password files contain is never printed.
- Editors that know YAML's language server offer keys and values, and mark what is wrong, by the [schema](kafka-cache.schema.json): begin the file with
  ` + "`# yaml-language-server: $schema=https://raw.githubusercontent.com/yolean/kafka-cache/main/docs/kafka-cache.schema.json`" + `.
- A configuration error is one line on stderr and exit status 2; nothing in the data directory has been touched then.
`

const docsTail = `
## What Kafka's ACLs have to allow

| operation | on | for |
| --- | --- | --- |
| Read | the topics | reading them, and committing positions in them |
| DescribeConfigs | the topics | knowing how long tombstones are kept, and how large a record may be; without it ` + "`delete-retention`" + ` has to be given |
| Write | the topics that are not read-only | writing |
| Write | the topics of ` + "`dead-letter-topic`" + ` | copies of records that are refused |
| Read | the group that ` + "`--identity`" + ` names | committing positions; not with ` + "`--commit-offsets=false`" + ` |
| Delete | the group that ` + "`--identity`" + ` names | deleting the group at the end; not with ` + "`--commit-offsets=false`" + ` |
| Write | the transactional ids that begin with ` + "`<identity>-multi-`" + ` (a prefixed pattern) | MULTI of two writes or more. Without it such an EXEC answers ` + "`-NOPERM`" + `, a line in the log says so at start, and everything else works |

Each of them includes Describe, as Kafka's own authorizer has it; one that does not needs that as well. Nothing on the cluster is needed. ` + "`tests/security`" + ` tries on a real broker that these are enough, and what does not work without
each of them; where Kafka does not allow something the log, or the reply, has its words for it (` + "`not authorized`, `-NOPERM`" + `).

The transactional ids are the instance's as its identity is: two processes at the same time under one identity do not disturb each other's transactions for long, but the one that began first goes on
under ids with a suffix, which the prefix covers, and what it leaves open when it is killed is not ended by its successor.

## The file

` + "```yaml" + `
version: 1
kafka-bootstrap: kafka-0:9092,kafka-1:9092   # or a list
data-dir: /var/lib/kafka-cache
read-only: true
validate:                                    # of topics that do not say
  write: {schema: any.schema.json}
topics:                                      # the n-th is Redis database n
  - name: users                              # only the name is required
    read-only: false
    key-encoding: utf-8
    value-encoding: json                     # avro needs schema-registry
    start: earliest                          # offset:N | timestamp:2026-01-02T15:04:05Z | -24h
    delete-retention: 24h                    # where Kafka does not let it be read
    repair-split-keys: true                  # needs read-only: false
    resolver: users.jq                       # a file, or the jq program itself
    resolver-yields: changes                 # the default; value: the record's own value, whatever the program's output looks like
    validate:
      write: {schema: user.schema.json}      # a JSON Schema: a file, or its text
      read: {schema: user.schema.json, on-invalid: delete}   # delete (the default) | keep | skip | stop
      mutation:                              # CEL
        rule: "!has(oldSelf.version) || self.version >= oldSelf.version"
        on-invalid: skip                     # skip (the default) | delete | keep | stop
    dead-letter-topic: users.invalid
  - name: organizations
users:                                       # who may log in beside default
  - name: app
    password-file: /etc/secrets/app          # up to 8 lines: old and new work side by side
    topics: {users: write, "*": read}        # write includes read; none is the default
  - name: ops
    password-sha256: 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8   # or a list
    admin: true                              # CLIENT LIST and KILL, CONFIG, SLOWLOG, ACL LIST
` + "```" + `

What a topic's records mean (` + "`resolver`, `validate`, `dead-letter-topic`" + `) is in [policies](policies.md). It can be set in the file alone. With ` + "`--dev`" + ` the file may have settings for the sample model's topics.

Relative paths in the file, of any option, begin where the file is; those of flags and variables in the working directory.

What a topic does not say it takes from the option of the same name. Where ` + "`--topic` or `KCACHE_TOPIC`" + ` is given, its list replaces the
file's; a topic that is in both keeps its settings.

## Comparing instances

` + "`kafka-cache compare A B`" + ` asks two instances, by their admin addresses, whether they hold the same: instances of any age do, of topics with the same settings. They
are compared at offsets that both have passed, so writers need not stop. ` + "`--full`" + ` compares the values too, ` + "`--topic NAME`" + ` chooses, ` + "`--timeout 30s`" + ` bounds it.
Where the admin port asks for a credential, ` + "`--token-file FILE`" + ` has the token that both take, and ` + "`--tls-cert FILE` and `--tls-key FILE`" + ` a client certificate; ` + "`--tls-ca FILE`" + ` is whom to trust for ` + "`https://`" + ` addresses.

` + "```console" + `
$ kafka-cache compare cache-0:8080 cache-1:8080
users: agree (12 partitions)
organizations: differ
  partition 3: the digests differ at offset 40960
$ echo $?
1
` + "```" + `

| Exit status | |
| --- | --- |
| 0 | every topic agrees |
| 1 | a topic differs |
| 2 | the arguments cannot be used |
| 3 | none differs, but a topic could not be compared in time, or cannot be as it is configured: its line says why |

` + "`GET /api/v1/checksum?topic=NAME`" + ` (and ` + "`&full`" + `) of the admin address is what it asks: for each partition a sum over (key, partition, offset) of what is held, with those that were
noted at earlier offsets, and, apart, a sum over the values that tombstones of other partitions hide. That one depends on several partitions, so where there are such keys
(` + "`kafka_cache_split_keys{newest=\"tombstone\"}`" + `) both instances have to be at the same positions once: on a topic that is written to all the time it comes to exit status 3 until
` + "`KAFKA.REPAIR`" + ` has mended them.
`

// WriteEffective writes the configuration as a file that would yield it, each option with where its value comes from.
// It holds the paths of password files, never what they contain, and for the hash of a password what stands for it, which is refused where it is given back.
func (c *Config) WriteEffective(w io.Writer) error {
	var b strings.Builder
	b.WriteString("version: 1\n")
	for i := range options {
		o := &options[i]
		if o.noFile || o.name == "topic" || (c.Dev && o.name == "kafka-bootstrap") {
			continue
		}
		source := "default"
		if s, given := c.sources[o.name]; given {
			source = strings.TrimSuffix(s, ": "+o.name)
		}
		value := o.value(c).String()
		if o.isPath() {
			value = absolute(value)
		}
		fmt.Fprintf(&b, "%s: %s # %s\n", o.name, quote(value), source)
	}
	if given := c.sources["topic"]; given != "" || !c.Dev {
		fmt.Fprintf(&b, "topics: # %s\n", strings.TrimSuffix(given, ": topics"))
		for _, t := range c.Topics {
			fmt.Fprintf(&b, "  - name: %s\n    read-only: %t\n    key-encoding: %s\n    value-encoding: %s\n    start: %s\n"+
				"    delete-retention: %s\n    repair-split-keys: %t\n",
				quote(t.Name), t.ReadOnly, t.KeyEncoding, t.ValueEncoding, quote(t.Start), t.DeleteRetention, t.RepairSplitKeys)
			t.Policies.render(&b)
		}
	}
	renderUsers(&b, c.Users)
	_, err := io.WriteString(w, b.String())
	return err
}

// absolute is a path for a file that may be written anywhere.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

// quote is s as a YAML scalar on one line.
func quote(s string) string {
	n := yaml.Node{Kind: yaml.ScalarNode, Value: s, Style: yaml.DoubleQuotedStyle}
	if plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-"); plain == "" && s != "" && !strings.EqualFold(s, "null") {
		n.Style = 0
	}
	b, err := yaml.Marshal(&n)
	if err != nil {
		panic("config: a scalar node marshals: " + err.Error())
	}
	return strings.TrimSpace(string(b))
}
