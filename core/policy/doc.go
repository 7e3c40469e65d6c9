// Package policy says what a topic's records mean beyond their encoding: what a record yields ([Resolver]), which values are
// valid ([ValueRule]), which changes are ([MutationRule]), and what becomes of a record that is not ([Outcome]).
//
// It holds the contracts alone and imports nothing but the standard library, so that a program that configures none links
// none of what compiles them: package jsonschema makes value rules of JSON Schemas, package cel mutation rules of CEL
// expressions, package jq resolvers of jq programs.
//
// What is compiled is safe for concurrent use. Bytes that are handed to it belong to the caller, are valid during the call
// and must not be changed.
package policy
