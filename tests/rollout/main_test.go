package rollout

import (
	"os"
	"testing"

	"github.com/yolean/kafka-cache/tests/daemontest"
	"github.com/yolean/kafka-cache/tests/kafkatest"
)

func TestMain(m *testing.M) {
	os.Exit(daemontest.Main(func() int { return kafkatest.Main(m) }))
}
