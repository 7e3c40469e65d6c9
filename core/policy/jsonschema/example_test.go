package jsonschema_test

import (
	"fmt"

	"github.com/yolean/kafka-cache/core/policy/jsonschema"
)

func ExampleCompile() {
	rule, err := jsonschema.Compile("user.schema.json", []byte(`{
		"type": "object",
		"required": ["id", "displayName"],
		"properties": {
			"id": {"type": "string", "format": "uuid"},
			"displayName": {"type": "string", "minLength": 1}
		}
	}`), jsonschema.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, value := range []string{
		`{"id": "706b6859-7f23-4b33-9735-57b26621fb3d", "displayName": "Ada"}`,
		`{"id": "706b6859-7f23-4b33-9735-57b26621fb3d", "displayName": 7}`,
		`{"id": "706b6859-7f23-4b33-9735-57b26621fb3d"}`,
		`{"id":`,
	} {
		fmt.Println(rule.Check(nil, []byte(value)))
	}
	// Output:
	// <nil>
	// at /displayName: number, not string
	// missing: "displayName"
	// not JSON: it ends too early at byte 6
}
