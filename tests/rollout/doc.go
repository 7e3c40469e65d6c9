// Package rollout restarts the instances behind a balancer one after the other while clients with a library read and write through it, and asks that none of them
// sees an error, or something older than its token promises.
package rollout
