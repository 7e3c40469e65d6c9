//go:build !unix

package store

import (
	"errors"
	"os"
)

// writable makes a file in dir and removes it: there is no question to ask.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".kafka-cache-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
