package compat

import (
	"os"
	"testing"

	"github.com/yolean/kafka-cache/tests/kafkatest"
)

func TestMain(m *testing.M) { os.Exit(kafkatest.Main(m)) }
