// Package childproc runs the processes that tests need (brokers, command line
// tools, the daemon) so that none outlives the test process, not even when that
// is killed with SIGKILL.
package childproc
