// Package hostile holds what an attacker with a socket does to a running daemon, and checks that it neither ends it nor makes it grow, and that
// others are served meanwhile. The short form runs with the other tests; make hostile runs the long one.
package hostile
