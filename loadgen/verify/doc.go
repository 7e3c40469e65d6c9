// Package verify compares instances with the log itself, key by key.
//
// It shares nothing with what it checks: the log is read with franz-go, read_committed, up to the ends that it has when the
// comparison begins; an instance is asked over the Redis protocol, after it has said that it has applied up to these ends.
// Writers need not stop. Where an instance answers otherwise than the log at these ends, the keys in question are read at one
// moment of the instance (MULTI) together with its position, the log is read on up to that position, and only what differs
// there is a difference.
package verify
