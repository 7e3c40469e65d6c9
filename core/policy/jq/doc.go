// Package jq compiles jq programs to resolvers, with gojq (github.com/itchyny/gojq), which is jq in Go.
//
// A program gets an object for each record:
//
//	{"topic": …, "partition": …, "offset": …, "timestamp": milliseconds, "key": string, "value": …, "headers": {name: string or null}}
//
// An output that is an object with exactly the members "key" (a string) and "value" is a value of that key. Any other output
// is the value of the record's own key, of which there may be one. A program without an output yields nothing: the key reads as
// missing. With [Options.OwnKey] an output is the own value whatever it looks like.
//
// A program is a function of its record: what would make it depend on anything else (now, env, input, local time, modules) is
// refused when it is compiled. So are its limits: they count steps and bytes, not time, so that every instance refuses the same records.
package jq
