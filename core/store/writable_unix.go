//go:build unix

package store

import "golang.org/x/sys/unix"

// writable asks whether entries can be made in dir, without making one.
func writable(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
