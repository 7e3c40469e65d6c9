package respserver

// Why commands that Redis has are refused by name. What is in neither table is unknown, in Redis's words.
const (
	noCompareAndSet = "a log has no compare-and-set"
	noExpiry        = "records do not expire; a topic's retention is Kafka's"
	noModify        = "a record is written as a whole: read the value and SET the new one"
	stringsOnly     = "every value is one record, which is a string"
	noScripts       = "there are no scripts"
)

var refusals = map[string]string{
	"setnx": noCompareAndSet, "msetnx": noCompareAndSet, "getset": noCompareAndSet, "getdel": noCompareAndSet, "watch": noCompareAndSet + ", and no conditional produce",
	"setex": noExpiry, "psetex": noExpiry, "expire": noExpiry, "pexpire": noExpiry, "expireat": noExpiry, "pexpireat": noExpiry,
	"persist": noExpiry, "append": noModify, "setrange": noModify, "setbit": noModify, "bitop": noModify, "bitfield": noModify, "incr": noModify, "incrby": noModify,
	"incrbyfloat": noModify, "decr": noModify, "decrby": noModify, "rename": "a key and its value are one record", "renamenx": noCompareAndSet,
	"copy": "a record is written to one topic: read the value and SET it", "move": "a record is written to one topic: read the value and SET it",
	"swapdb": "databases are topics", "eval": noScripts, "evalsha": noScripts, "eval_ro": noScripts, "evalsha_ro": noScripts, "fcall": noScripts, "fcall_ro": noScripts,
	"script": noScripts, "function": noScripts, "flushall": "it would write a tombstone for every key; --resp-allow-flush allows it, for test suites",
	"flushdb": "it would write a tombstone for every key; --resp-allow-flush allows it, for test suites", "debug": "there is nothing to debug from a client",
	"ssubscribe": "there are no channels",
	"publish":    "there are no channels: write to a topic", "spublish": "there are no channels: write to a topic",
	"sunsubscribe": "there are no channels",
	"save":         "what is stored is the log", "bgsave": "what is stored is the log", "bgrewriteaof": "what is stored is the log",
	"replicaof": "instances follow the log, not one another", "slaveof": "instances follow the log, not one another", "sync": "instances follow the log, not one another",
	"psync": "instances follow the log, not one another", "failover": "instances follow the log, not one another", "shutdown": "the process is stopped by SIGTERM",
	"monitor": "it would show every key and value to every client",
	"dump":    "Redis's own serialization is not offered", "restore": "Redis's own serialization is not offered", "migrate": "Redis's own serialization is not offered",
	"lcs":  "it takes time and memory in proportion to the product of two values' lengths: read both and compare them",
	"sort": stringsOnly, "sort_ro": stringsOnly, "lpush": stringsOnly, "rpush": stringsOnly, "lpop": stringsOnly, "rpop": stringsOnly, "llen": stringsOnly,
	"lrange": stringsOnly, "lindex": stringsOnly, "lrem": stringsOnly, "ltrim": stringsOnly, "lset": stringsOnly, "blpop": stringsOnly, "brpop": stringsOnly,
	"hset": stringsOnly, "hmset": stringsOnly, "hsetnx": stringsOnly, "hget": stringsOnly, "hmget": stringsOnly, "hgetall": stringsOnly, "hdel": stringsOnly, "hlen": stringsOnly,
	"hkeys": stringsOnly, "hvals": stringsOnly, "hexists": stringsOnly, "hincrby": stringsOnly, "hscan": stringsOnly, "sadd": stringsOnly, "srem": stringsOnly,
	"smembers": stringsOnly, "sismember": stringsOnly, "scard": stringsOnly, "spop": stringsOnly, "sscan": stringsOnly, "zadd": stringsOnly, "zrem": stringsOnly,
	"zrange": stringsOnly, "zscore": stringsOnly, "zcard": stringsOnly, "zrank": stringsOnly, "zincrby": stringsOnly, "zscan": stringsOnly, "xadd": stringsOnly,
	"xread": stringsOnly, "xrange": stringsOnly, "xlen": stringsOnly, "xreadgroup": stringsOnly, "pfadd": stringsOnly, "pfcount": stringsOnly, "geoadd": stringsOnly,
}
