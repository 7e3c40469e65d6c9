// Package jsonschema compiles JSON Schemas to value rules.
//
// A schema without "$schema" is of draft 2020-12; drafts 4, 6, 7 and 2019-09 can be named. Formats ("uuid", "email",
// "date-time", …) are assertions, since that is what a schema's author writes them for ([Options.FormatsAnnotate] makes them
// annotations again); a format that is not known says nothing, as the standard has it, and neither does what the content of a
// string is (contentEncoding, contentMediaType, contentSchema). Patterns are Go's regular expressions (RE2): they take time in
// proportion to the string, and a schema with a look-ahead or a back-reference does not compile.
//
// A "$ref" leads within the schema or to a file beside it, in its directory or below ([CompileFile]); nothing is ever fetched
// from a network, whatever the "$id" says.
//
// Numbers are compared exactly, however large. A value with a number of more than 128 characters or with an exponent beyond
// ±400 is refused, since exact arithmetic with it has no bound; so is one for which the schema asks for more than a bounded
// number of steps, as one that branches where it recurs can.
package jsonschema
