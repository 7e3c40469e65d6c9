package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/yolean/kafka-cache/core/codec"
	"github.com/yolean/kafka-cache/core/codec/registry"
	"github.com/yolean/kafka-cache/core/policy"
)

// schema is one of JSON Schema, or a part of one.
type schema map[string]any

const schemaID = "https://github.com/yolean/kafka-cache/blob/main/docs/kafka-cache.schema.json"

// WriteSchema writes the JSON Schema of the file, for editors. The daemon is the judge: it looks closer, at addresses for one, and takes a few spellings that no editor
// should offer, such as a boolean in quotes.
func WriteSchema(w io.Writer) error {
	properties := schema{
		"version":  schema{"const": 1, "description": "Of this file's form."},
		"topics":   schema{"type": "array", "description": "What is tailed; the n-th is Redis database n, from 0.", "items": topicSchema()},
		"validate": validateSchema("Rules of topics that do not say."),
		"users":    schema{"type": "array", "description": "Who may log in beside default.", "items": userSchema()},
	}
	for i := range options {
		o := &options[i]
		if o.noFile {
			continue
		}
		s := valueSchema(o.value(&Config{}))
		s["description"] = o.help
		if o.def != "" {
			s["default"] = o.def
			if _, text := s["pattern"]; !text && json.Valid([]byte(o.def)) { // a boolean or a number, as the file has it
				s["default"] = json.RawMessage(o.def)
			}
		}
		properties[o.name] = s
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(schema{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schemaID, "title": "kafka-cache",
		"description": "The file that kafka-cache serve --config takes. Made from the table of options by \"kafka-cache docs schema\".",
		"type":        []string{"object", "null"}, "additionalProperties": false, "properties": properties,
	})
}

// valueSchema is that of an option's value as the file has it.
func valueSchema(v value) schema {
	switch v := v.(type) {
	case boolean:
		return schema{"type": "boolean"}
	case duration:
		return durationSchema()
	case count:
		return schema{"type": "integer", "minimum": v.min}
	case byteSize:
		return bytesSchema("auto|")
	case byteLimit:
		return bytesSchema("")
	case choice:
		return enumSchema(v.allowed, v.empty)
	case encoding:
		return encodingSchema(v.keys)
	case appendable:
		text := schema{"type": "string"}
		return schema{"anyOf": []schema{text, {"type": "array", "minItems": 1, "items": text}}}
	case identity:
		return schema{"type": "string", "pattern": "^[!-~]+$", "maxLength": maxIdentity}
	case listenAddr:
		return schema{"type": "string", "pattern": ":[0-9]+$"}
	case tokenURL:
		return schema{"type": "string", "pattern": "^(https?://.*)?$"}
	case text:
		return schema{"type": "string"}
	}
	panic(fmt.Sprintf("config: an option of type %T has no schema", v)) // a kind of option was added: TestSchema goes through all
}

func durationSchema() schema {
	return schema{"anyOf": []schema{{"type": "string", "pattern": `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`}, {"enum": []any{0, "0"}}}}
}

func bytesSchema(words string) schema {
	return schema{"anyOf": []schema{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(" + words + "[0-9]+(Ki|Mi|Gi|Ti|K|k|M|G|T)?B?)$"}}}
}

// enumSchema has the words, and those that YAML reads as numbers or booleans as these, since the daemon goes by the text.
func enumSchema(words []string, empty bool) schema {
	var all []any
	for _, w := range words {
		all = append(all, w)
		if n, err := strconv.ParseFloat(w, 64); err == nil {
			all = append(all, n)
		}
	}
	if empty {
		all = append(all, "")
	}
	return schema{"enum": all}
}

// encodingSchema offers the names that documents use, and takes the original library's other names for them.
func encodingSchema(keys bool) schema {
	offered := append(codec.Names(), registry.Names()...)
	if keys {
		offered = codec.KeyNames()
	}
	return schema{"anyOf": []schema{{"enum": offered}, {"type": "string", "minLength": 1}}}
}

func closed(description string, required []string, properties schema) schema {
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if description != "" {
		s["description"] = description
	}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func described(s schema, description string) schema {
	s["description"] = description
	return s
}

func topicSchema() schema {
	text := func(description string) schema {
		return schema{"type": "string", "minLength": 1, "description": description}
	}
	return closed("", []string{"name"}, schema{
		"name":              text("The topic's."),
		"read-only":         schema{"type": "boolean", "description": "Refuse writes."},
		"key-encoding":      described(encodingSchema(true), "Encoding of keys in the log."),
		"value-encoding":    described(encodingSchema(false), "Encoding of values in the log."),
		"start":             text("Where reading begins without a checkpoint: earliest, offset:N, timestamp:2026-01-02T15:04:05Z, or how long ago: -24h."),
		"delete-retention":  described(durationSchema(), "delete.retention.ms of the topic, where Kafka does not let it be read."),
		"repair-split-keys": schema{"type": "boolean", "description": "Write the tombstones that are missing in other partitions."},
		"resolver":          text("A jq program, or the file (.jq) that has it."),
		"resolver-yields":   described(enumSchema([]string{YieldsChanges, YieldsValue}, false), "What the resolver's output is."),
		"validate":          validateSchema("Rules for what is written and read."),
		"dead-letter-topic": text("Where copies of refused records go."),
	})
}

func validateSchema(description string) schema {
	outcome := schema{"enum": []string{policy.Delete.String(), policy.Keep.String(), policy.Skip.String(), policy.Stop.String()}, "description": "What becomes of what is refused."}
	text := schema{"type": "string", "minLength": 1, "description": "A JSON Schema, or the file that has it."}
	return closed(description, nil, schema{
		"write":    closed("Of writes, before they are produced.", []string{"schema"}, schema{"schema": text}),
		"read":     closed("Of records.", nil, schema{"schema": text, "on-invalid": outcome}),
		"mutation": closed("Of changes.", []string{"rule"}, schema{"rule": schema{"type": "string", "minLength": 1, "description": "A CEL expression of self and oldSelf."}, "on-invalid": outcome}),
	})
}

func userSchema() schema {
	hash := schema{"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
	return closed("", []string{"name"}, schema{
		"name":            schema{"type": "string", "minLength": 1},
		"password-file":   schema{"type": "string", "minLength": 1, "description": "One password a line, 8 at most."},
		"password-sha256": schema{"anyOf": []schema{hash, {"type": "array", "minItems": 1, "items": hash}}, "description": "SHA-256 of passwords, in hexadecimal digits."},
		"admin":           schema{"type": "boolean", "description": "May run CLIENT LIST and KILL, CONFIG, SLOWLOG, ACL LIST."},
		"topics": schema{"type": "object", "description": "What the user may do with topics; \"*\" are all others.",
			"additionalProperties": schema{"enum": []string{"none", "read", "write"}}},
	})
}
