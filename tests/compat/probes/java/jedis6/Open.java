import redis.clients.jedis.*;
import redis.clients.jedis.csc.CacheConfig;

/** How a client with a pool is opened up to Jedis 7. */
final class Open {
  static UnifiedJedis pooled(HostAndPort at, JedisClientConfig config) { return new JedisPooled(at, config); }

  static UnifiedJedis caching(HostAndPort at, JedisClientConfig config, CacheConfig cache) { return new JedisPooled(at, config, cache); }
}
