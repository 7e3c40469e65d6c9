//go:build race

package hostile

// memoryFactor is for what the race detector adds.
const memoryFactor = 10
