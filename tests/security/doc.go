// Package security runs the daemon against a real broker that asks who connects, in every way that the daemon knows, and that allows what its access
// control says and nothing else.
package security
