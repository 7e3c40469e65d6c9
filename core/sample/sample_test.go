package sample

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var model = Model{Seed: 7, Organizations: 5, Users: 300, Sessions: 500}

func compile(t *testing.T, topic string) *jsonschema.Schema {
	t.Helper()
	b, err := Schema(topic)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(topic, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(topic)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func conforms(t *testing.T, s *jsonschema.Schema, value []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestGeneratedRecordsMeetTheirSchemas(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{}
	for _, topic := range Topics() {
		schemas[topic] = compile(t, topic)
	}
	counts := map[string]int{}
	keys := map[string]bool{}
	organizations, users := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for r := range model.All() {
		value, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := conforms(t, schemas[r.Topic()], value); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if keys[r.Key()] {
			t.Fatalf("%s %s is not the first with its key", r.Topic(), r.Key())
		}
		keys[r.Key()] = true
		counts[r.Topic()]++
		switch r := r.(type) {
		case Organization:
			organizations[r.ID] = true
		case User:
			users[r.ID] = true
			for _, g := range r.Groups {
				if !organizations[g] {
					t.Fatalf("user %s is in %s, which has not been written", r.ID, g)
				}
			}
			if len(r.Groups) == 0 {
				t.Fatalf("user %s is in no organization", r.ID)
			}
		case Session:
			if !users[r.User] {
				t.Fatalf("session %s is of %s, which has not been written", r.ID, r.User)
			}
		}
	}
	want := map[string]int{Organizations: model.Organizations, Users: model.Users, Sessions: model.Sessions}
	if !reflect.DeepEqual(counts, want) {
		t.Errorf("records by topic: %v, want %v", counts, want)
	}
}

func TestModelIsDeterministic(t *testing.T) {
	a, b := slices.Collect(model.All()), slices.Collect(model.All())
	if !reflect.DeepEqual(a, b) {
		t.Error("the same model yields different records")
	}
	other := model
	other.Seed++
	if first := slices.Collect(other.All())[0]; first.Key() == a[0].Key() {
		t.Error("another seed yields the same ids")
	}
	// A record depends on its number alone: a larger model has the same ids.
	larger := model
	larger.Users *= 2
	if larger.UserID(11) != model.User(11).ID || model.SessionID(3) != model.Session(3).ID ||
		larger.OrganizationID(2) != model.Organization(2).ID {
		t.Error("ids differ between the model's size or its ways to ask for them")
	}
	// What other machines and versions of Go must yield too.
	if got, want := model.UserID(0).String(), "706b6859-7f23-4b33-9735-57b26621fb3d"; got != want {
		t.Errorf("user 0 of seed 7 is %s, want %s", got, want)
	}
}

func TestRenamedUser(t *testing.T) {
	if !reflect.DeepEqual(model.RenamedUser(4, 0), model.User(4)) {
		t.Error("revision 0 is not the user as generated")
	}
	u := model.RenamedUser(4, 9)
	if u.DisplayName == model.User(4).DisplayName || u.ID != model.UserID(4) {
		t.Errorf("revision 9 of %+v is %+v", model.User(4), u)
	}
}

// Validate and the schemas say the same of what is wrong.
func TestValidateAgreesWithSchema(t *testing.T) {
	text := func(s string) *string { return &s }
	user := func(change func(*User)) Record { u := model.User(1); change(&u); return u }
	session := func(change func(*Session)) Record { s := model.Session(1); change(&s); return s }
	tests := []struct {
		record Record
		field  string // "": valid
	}{
		{user(func(u *User) { u.Email = nil }), ""},
		{user(func(u *User) { u.Groups = []uuid.UUID{} }), ""},
		{user(func(u *User) { u.Email = text("nobody") }), "email"},
		{user(func(u *User) { u.DisplayName = "" }), "displayName"},
		{user(func(u *User) { u.Groups = nil }), "groups"},
		{user(func(u *User) { u.Groups = append(u.Groups, u.Groups[0]) }), "groups"},
		{Organization{ID: model.OrganizationID(0)}, "name"},
		{session(func(s *Session) { s.IPAddress = nil }), ""},
		{session(func(s *Session) { s.IPAddress = text("2001:db8::1") }), ""},
		{session(func(s *Session) { s.IPAddress = text("203.0.113.300") }), "ipAddress"},
		{session(func(s *Session) { s.Type = "TV" }), "type"},
	}
	for _, tt := range tests {
		err := tt.record.Validate()
		value, jsonErr := json.Marshal(tt.record)
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		schemaErr := conforms(t, compile(t, tt.record.Topic()), value)
		if tt.field == "" {
			if err != nil || schemaErr != nil {
				t.Errorf("%s: Validate %v, schema %v", value, err, schemaErr)
			}
			continue
		}
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.field) {
			t.Errorf("%s: Validate %v, want ErrInvalid at %s", value, err, tt.field)
		}
		if schemaErr == nil || !strings.Contains(schemaErr.Error(), tt.field) {
			t.Errorf("%s: schema %v, want an error at %s", value, schemaErr, tt.field)
		}
		if _, err := Encode(tt.record); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: Encode %v, want ErrInvalid", value, err)
		}
	}
	for _, r := range []Record{Organization{Name: "x"}, user(func(u *User) { u.ID = uuid.Nil }),
		session(func(s *Session) { s.User = uuid.Nil })} {
		if err := r.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v, want ErrInvalid", r, err)
		}
	}
}

// Every field has a property and every property a field; what a schema requires is what JSON always has.
func TestSchemasNameTheFields(t *testing.T) {
	for topic, v := range map[string]any{Users: User{}, Organizations: Organization{}, Sessions: Session{}} {
		b, err := Schema(topic)
		if err != nil {
			t.Fatal(err)
		}
		var schema struct {
			Properties map[string]any
			Required   []string
		}
		if err := json.Unmarshal(b, &schema); err != nil {
			t.Fatal(err)
		}
		fields := map[string]bool{}
		for f := range reflect.TypeOf(v).Fields() {
			fields[f.Tag.Get("json")] = true
			if _, ok := schema.Properties[f.Tag.Get("json")]; !ok {
				t.Errorf("%s: field %s has no property", topic, f.Name)
			}
		}
		if len(fields) != len(schema.Properties) {
			t.Errorf("%s: %d fields, %d properties", topic, len(fields), len(schema.Properties))
		}
		for _, name := range schema.Required {
			if !fields[name] {
				t.Errorf("%s: required %s is no field", topic, name)
			}
		}
	}
	if _, err := Schema("nope"); err == nil {
		t.Error("a topic that is not the model's has a schema")
	}
}

func TestModelValidate(t *testing.T) {
	if err := model.Validate(); err != nil {
		t.Error(err)
	}
	for _, m := range []Model{{Organizations: -1}, {Users: 1}, {Organizations: 1, Sessions: 1}} {
		if m.Validate() == nil {
			t.Errorf("%+v is not refused", m)
		}
	}
	if (Model{}).Validate() != nil {
		t.Error("an empty model is refused")
	}
}

func BenchmarkUser(b *testing.B) {
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := Encode(model.User(i)); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
