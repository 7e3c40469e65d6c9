package security

import (
	"flag"
	"os"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // they wait for the most part
		panic(err)
	}
	os.Exit(daemontest.Main(func() int {
		code := m.Run()
		guarded.close()
		return code
	}))
}
