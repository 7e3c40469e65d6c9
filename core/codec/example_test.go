package codec_test

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/yolean/kafka-cache/core/codec"
)

// What is in the log is bytes; what clients send and see is their hexadecimal digits.
func ExampleByName() {
	hex, err := codec.ByName("hex")
	if err != nil {
		panic(err)
	}
	encoded, err := hex.Encode(nil, []byte("cafe"))
	fmt.Printf("%q %v\n", encoded, err)
	decoded, err := hex.Decode(nil, encoded)
	fmt.Printf("%q %v\n", decoded, err)
	_, err = hex.Encode(nil, []byte("caf"))
	fmt.Println(err)
	// Output:
	// "\xca\xfe" <nil>
	// "cafe" <nil>
	// not valid hex at byte 3: an odd number of digits: a byte takes two
}

func ExampleJSON() {
	type User struct {
		ID          string `json:"id"`
		DisplayName string `json:"displayName"`
	}
	users := codec.JSON[User]()
	b, err := users.Append(nil, User{ID: "a", DisplayName: "Some One"})
	fmt.Println(string(b), err)
	u, err := users.Parse([]byte(`{"id":"b","displayName":"Another","since":2017}`))
	fmt.Println(u.DisplayName, err)
	_, err = users.Parse([]byte(`{"id":7}`))
	fmt.Println(err)
	// Output:
	// {"id":"a","displayName":"Some One"} <nil>
	// Another <nil>
	// not valid json at byte 7: no codec_test.User: json: cannot unmarshal number into Go struct field User.id of type string
}

func ExampleText() {
	ids := codec.Text[uuid.UUID]()
	id, err := ids.Parse([]byte("8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f"))
	fmt.Println(id.Version(), err)
	key, err := ids.Append(nil, id)
	fmt.Println(string(key), err)
	// Output:
	// VERSION_4 <nil>
	// 8d7b6f0e-6c1d-4a2b-9f3e-2b1a0c9d8e7f <nil>
}

// rot13 is a codec of one's own.
type rot13 struct{}

func (rot13) Name() string   { return "rot13" }
func (rot13) Identity() bool { return false }

func (rot13) Encode(dst, decoded []byte) ([]byte, error) {
	for _, c := range decoded {
		switch {
		case c >= 'a' && c <= 'z':
			c = 'a' + (c-'a'+13)%26
		case c >= 'A' && c <= 'Z':
			c = 'A' + (c-'A'+13)%26
		}
		dst = append(dst, c)
	}
	return dst, nil
}

func (r rot13) Decode(dst, encoded []byte) ([]byte, error) { return r.Encode(dst, encoded) }

// A codec of one's own is given to a topic as cache.TopicConfig{Name: "users", ValueCodec: rot13{}}.
func ExampleCodec() {
	var c codec.Codec = rot13{}
	fmt.Println(codec.CheckName(c), codec.CheckKey(c))
	encoded, err := c.Encode(nil, []byte("Hello"))
	fmt.Println(string(encoded), err)
	decoded, err := c.Decode(nil, encoded)
	fmt.Println(string(decoded), err)
	// Output:
	// <nil> <nil>
	// Uryyb <nil>
	// Hello <nil>
}
