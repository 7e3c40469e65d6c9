package cache

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain leaves the examples out where there is no broker to run them with: they are compiled here, for the documentation, and run by tests/cache
// (TestExamples), which has one in its process.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("KAFKA_BOOTSTRAP") == "" {
		if err := flag.Set("test.skip", "^Example"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}
