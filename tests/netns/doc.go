// Package netns runs daemons as the base manifest's pods have them, each in a network namespace of its own: what a pod asks of another goes over the network there, as
// between pods of a cluster, while other tests stay on loopback.
//
// It needs Linux, root, and iproute2's ip with setpriv of util-linux. Where one is missing the tests are skipped and say which.
package netns
