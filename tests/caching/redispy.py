# redis-py with its client-side cache, over one connection: reads what it is told to, and tells what it keeps.
import json
import sys

import redis
from redis.backoff import NoBackoff
from redis.cache import CacheConfig, CacheEntryStatus
from redis.retry import Retry

host, port = sys.argv[1].rsplit(":", 1)
client = redis.Redis(
    host=host, port=int(port), protocol=3, decode_responses=True, max_connections=1, socket_timeout=20, retry=Retry(NoBackoff(), 0), cache_config=CacheConfig()
)

for line in sys.stdin:
    words = line.split()
    kept = {}
    try:
        if words[0] == "read":
            for key in words[1:]:
                client.get(key)
        else:
            client.ping()  # what was invalidated before comes before its reply
            for key, entry in client.get_cache().collection.items():
                if entry.status == CacheEntryStatus.VALID:
                    kept[key.redis_keys[0]] = entry.cache_value
    except redis.RedisError:
        kept = {}
    print(json.dumps(kept), flush=True)
