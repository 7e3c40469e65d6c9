// Package jsondoc parses a JSON text (RFC 8259) once, into a flat list of nodes that point into it, so that a rule pays for
// what it looks at: a member is found by walking nodes rather than bytes, and only strings and numbers that are asked for
// are made.
//
// What it takes is what the json encoding takes (package codec): UTF-8, one text, at most [MaxDepth] levels. Of names that an
// object has more than once the last counts, as with encoding/json and jq. Half a surrogate pair reads as U+FFFD, as there.
// Numbers are kept as they are written: nothing here rounds them.
package jsondoc
