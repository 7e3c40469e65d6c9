package respserver

// signatures are the arguments of commands, in the notation of parseSyntax; of a command that is not here there are none. What Redis has under the same name
// is here as in Redis, without the options that are refused.
var signatures = map[string]string{
	"auth": "[username] password", "hello": "[{arguments: protover [AUTH {username_password: username password}] [SETNAME clientname]}]", "ping": "[message]", "echo": "message", "select": "index",

	"get": "key", "mget": "key...", "strlen": "key", "getrange": "key start:integer end:integer", "substr": "key start:integer end:integer", "exists": "key...", "touch": "key...", "type": "key",
	"ttl": "key", "pttl": "key", "expiretime": "key", "pexpiretime": "key", "getex": "key", "getbit": "key offset", "object|freq": "key", "object|encoding": "key", "object|idletime": "key",
	"object|refcount": "key", "memory|usage": "key [SAMPLES count]", "scan": "cursor [MATCH pattern] [COUNT count] [TYPE type]", "keys": "pattern",

	"set": "key value [KEEPTTL]", "mset": "{key_value: key value}...", "del": "key...", "unlink": "key...", "flushdb": "[(async: ASYNC|SYNC)]", "flushall": "[(async: ASYNC|SYNC)]",
	"wait": "numreplicas timeout", "waitaof": "numlocal numreplicas timeout",

	"kafka.set": "key value [{header: HEADER header-name header-value}]...", "kafka.del": "key", "kafka.wait": "token timeout", "kafka.meta": "key", "kafka.invalid": "[LIMIT count]",
	"kafka.range": "start end [LIMIT count]", "kafka.repair": "[COUNT count]", "kafka.applied": "timeout [QUIET]", "kafka.fresh": "(bound: milliseconds|OFF)", "kafka.sync": "timeout",

	"subscribe": "channel...", "unsubscribe": "[channel...]", "psubscribe": "{pattern: pattern}...", "punsubscribe": "[pattern...]", "pubsub|channels": "[pattern]", "pubsub|numsub": "[channel...]",

	"client|kill": "(filter: ip:port:string|{new-format: [ID client-id] [TYPE (type: NORMAL|MASTER|SLAVE|REPLICA|PUBSUB)] [USER username] [ADDR ip:port:string] [LADDR ip:port:string] " +
		"[SKIPME (yes/no: YES|NO)] [MAXAGE maxage]})",
	"client|list": "[TYPE (normal_master_replica_pubsub: NORMAL|MASTER|REPLICA|PUBSUB)] [ID {id: client-id...}]", "client|setname": "connection-name",
	"client|setinfo": "(attr: LIB-NAME libname|LIB-VER libver)", "client|reply": "(on_off_skip: ON|OFF|SKIP)", "client|unblock": "client-id [(timeout_error: TIMEOUT|ERROR)]",
	"client|pause": "timeout [(mode: WRITE|ALL)]", "client|no-evict": "(enabled: ON|OFF)", "client|no-touch": "(enabled: ON|OFF)", "client|caching": "(mode: YES|NO)",
	"client|tracking": "(status: ON|OFF) [REDIRECT client-id] [PREFIX prefix]... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]", "client|maint_notifications": "(status: ON|OFF) [argument...]",

	"info": "[section...]", "config|get": "{parameter: parameter}...", "config|set": "{parameter_value: parameter value}...", "slowlog|get": "[count]", "latency|history": "event", "latency|graph": "event",
	"latency|reset": "[event...]", "latency|histogram": "[command...]",

	"acl|cat": "[categoryname]", "acl|getuser": "username", "acl|setuser": "username [rule...]", "acl|deluser": "username...", "acl|log": "[(operation: count|RESET)]",
	"acl|dryrun": "username command [arg...]", "acl|genpass": "[bits:integer]",

	"command|info": "[command-name...]", "command|docs": "[command-name...]", "command|getkeys": "command [arg...]", "command|getkeysandflags": "command [arg...]",
	"command|list": "[FILTERBY (filterby: MODULE module-name|ACLCAT category|PATTERN pattern)]",
}
