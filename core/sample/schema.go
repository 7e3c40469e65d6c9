package sample

import (
	"embed"
	"fmt"
)

//go:embed *.schema.json
var schemas embed.FS

var schemaFiles = map[string]string{
	Users:         "user.schema.json",
	Organizations: "organization.schema.json",
	Sessions:      "session.schema.json",
}

// Schema is the JSON Schema (draft 2020-12) of a topic's values. The bytes are the caller's. The formats that a schema
// names (uuid, email, ipv4, ipv6) are assertions here: a validator has to be told to check them.
func Schema(topic string) ([]byte, error) {
	name, ok := schemaFiles[topic]
	if !ok {
		return nil, fmt.Errorf("sample: no schema: %.64q is not a topic of the model", topic)
	}
	return schemas.ReadFile(name)
}
