// Package loadgen puts the sample model to an instance as a load, over the Redis protocol.
package loadgen
