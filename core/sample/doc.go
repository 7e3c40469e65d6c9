// Package sample is a small model to try, show and load a cache with: organizations, users that belong to them, and
// sessions of users.
//
// Ids are UUIDs (RFC 9562, version 4), a record's key is the bare id, and references are ids. Each type has a JSON Schema
// (draft 2020-12), see [Schema]. A [Model] generates the same records from the same seed, each by its index, so that
// several processes can agree on them without telling each other.
package sample
