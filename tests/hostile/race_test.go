//go:build race

package hostile

// memoryFactor is for what the race detector adds, its shadow of all memory above all: up to 4.3 times the limit were seen. What the limit is without it the long
// form holds.
const memoryFactor = 5
