// Package resp frames the Redis serialization protocol: what a client sends, parsed in place and resumably under limits,
// and what a server answers, in RESP2 and RESP3.
//
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/. The limits, the texts of the errors and the leniencies
// (frames without arguments are passed over, the two bytes after a bulk are not looked at) are those of redis-server.
package resp
