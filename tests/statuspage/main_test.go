package statuspage

import (
	"fmt"
	"os"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

func TestMain(m *testing.M) {
	os.Exit(daemontest.Main(func() int {
		code := kafkatest.Main(m)
		if err := endBrowser(); err != nil {
			fmt.Fprintln(os.Stderr, "end the browser:", err)
			return max(code, 1)
		}
		return code
	}))
}
