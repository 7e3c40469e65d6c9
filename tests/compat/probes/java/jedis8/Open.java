import redis.clients.jedis.*;
import redis.clients.jedis.csc.CacheConfig;

/** How a client with a pool is opened since Jedis 8. */
final class Open {
  static UnifiedJedis pooled(HostAndPort at, JedisClientConfig config) { return RedisClient.builder().hostAndPort(at).clientConfig(config).build(); }

  static UnifiedJedis caching(HostAndPort at, JedisClientConfig config, CacheConfig cache) {
    return RedisClient.builder().hostAndPort(at).clientConfig(config).cacheConfig(cache).build();
  }
}
