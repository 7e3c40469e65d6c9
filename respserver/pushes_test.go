package respserver

import (
	"testing"

	"github.com/yolean/kafka-cache/respserver/resp"
)

func TestMessagesAreReframed(t *testing.T) {
	var v [4][]byte
	for _, proto := range []resp.Version{resp.V2, resp.V3} {
		for _, parts := range [][]string{{"message", "", "\r\n>3\r\n"}, {"pmessage", "*", "a long channel", "x"}} {
			v[proto] = resp.AppendPush(v[proto], proto, len(parts))
			for _, p := range parts {
				v[proto] = resp.AppendBulkString(v[proto], p)
			}
		}
	}
	two := string(v[2])
	if reframe(v[2], resp.V3); string(v[2]) != string(v[3]) {
		t.Errorf("%q", v[2])
	}
	if reframe(v[3], resp.V2); string(v[3]) != two {
		t.Errorf("%q", v[3])
	}
}
