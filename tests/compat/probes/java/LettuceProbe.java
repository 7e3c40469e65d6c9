import static java.util.concurrent.TimeUnit.SECONDS;

import io.lettuce.core.*;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.sync.RedisCommands;
import io.lettuce.core.cluster.RedisClusterClient;
import io.lettuce.core.codec.ByteArrayCodec;
import io.lettuce.core.pubsub.RedisPubSubAdapter;
import io.lettuce.core.pubsub.StatefulRedisPubSubConnection;
import io.lettuce.core.support.caching.CacheAccessor;
import io.lettuce.core.support.caching.CacheFrontend;
import io.lettuce.core.support.caching.ClientSideCaching;
import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ConcurrentHashMap;

/** Tries Lettuce. */
public final class LettuceProbe {
  static String key(String name) { return Conversation.key(name); }

  static void same(Object got, Object want) { Conversation.same(got, want); }

  static RedisURI.Builder uri(int port) { return RedisURI.builder().withHost(Conversation.HOST).withPort(port); }

  static RedisCommands<String, String> connect(RedisURI.Builder uri) { return RedisClient.create(uri.build()).connect().sync(); }

  static List<Object> values(List<KeyValue<String, String>> all) {
    List<Object> values = new ArrayList<>();
    for (KeyValue<String, String> kv : all) values.add(kv.getValueOrElse(null));
    return values;
  }

  public static void main(String[] args) throws Exception {
    Conversation.version();
    String seed = Conversation.SEED;
    RedisClient client = RedisClient.create(uri(Conversation.PORT).build());
    StatefulRedisConnection<String, String> connection = client.connect();
    RedisCommands<String, String> r = connection.sync();
    Conversation.column("connect", () -> {
      same(r.ping(), "PONG");
      same(r.echo("truth"), "truth");
      return null;
    });
    Conversation.column("auth", () -> {
      same(connect(uri(Conversation.AUTH_PORT).withPassword(Conversation.PASSWORD.toCharArray())).get(key("seed")), seed);
      Conversation.refused("WRONGPASS", () -> connect(uri(Conversation.AUTH_PORT).withPassword("wrong".toCharArray())).get(key("seed")));
      Conversation.refused("NOAUTH", () -> connect(uri(Conversation.AUTH_PORT)).get(key("seed")));
      return null;
    });
    Conversation.column("select", () -> {
      same(connect(uri(Conversation.PORT).withDatabase(1)).get(key("seed")), "truth of database 1");
      return null;
    });
    Conversation.column("read", () -> {
      same(r.get(key("seed")), seed);
      same(r.get(key("none")), null);
      same(values(r.mget(key("seed"), key("none"), key("scan:7"))), Arrays.<Object>asList(seed, null, "truth 7"));
      same(r.exists(key("seed"), key("none"), key("seed")), 2L);
      same(r.strlen(key("seed")), (long) seed.length());
      same(r.getrange(key("seed"), 0, 4), "truth");
      same(Arrays.asList(r.ttl(key("seed")), r.ttl(key("none"))), Arrays.asList(-1L, -2L));
      same(r.type(key("seed")), "string");
      return null;
    });
    Conversation.column("write", () -> {
      same(r.set(key("w"), "truth w"), "OK");
      same(r.get(key("w")), "truth w");
      Map<String, String> two = new LinkedHashMap<>();
      two.put(key("w1"), "truth 1");
      two.put(key("w2"), "truth 2");
      same(r.mset(two), "OK");
      same(values(r.mget(key("w1"), key("w2"))), Arrays.<Object>asList("truth 1", "truth 2"));
      same(r.del(key("w"), key("w1"), key("none")), 2L);
      same(r.get(key("w")), null);
      Conversation.refused("READONLY", () -> connect(uri(Conversation.PORT).withDatabase(2)).set(key("seed"), "x"));
      return null;
    });
    Conversation.column("pipeline", () -> {
      StatefulRedisConnection<String, String> c = client.connect();
      c.setAutoFlushCommands(false);
      List<RedisFuture<String>> sets = new ArrayList<>(), gets = new ArrayList<>();
      for (int n = 0; n < 100; n++) sets.add(c.async().set(key("p:" + n), "truth " + n));
      for (int n = 0; n < 100; n++) gets.add(c.async().get(key("p:" + n)));
      c.flushCommands();
      for (int n = 0; n < 100; n++) {
        same(sets.get(n).get(30, SECONDS), "OK");
        same(gets.get(n).get(30, SECONDS), "truth " + n);
      }
      c.close();
      return null;
    });
    Conversation.column("transaction", () -> {
      r.multi();
      r.set(key("t1"), "truth 1");
      r.set(key("t2"), "truth 2");
      r.get(key("t1"));
      r.del(key("t2"));
      List<Object> got = new ArrayList<>();
      r.exec().forEach(got::add);
      same(got, Arrays.<Object>asList("OK", "OK", "truth 1", 1L));
      same(values(r.mget(key("t1"), key("t2"))), Arrays.<Object>asList("truth 1", null));
      return null;
    });
    Conversation.column("scan", () -> {
      List<String> keys = new ArrayList<>();
      ScanIterator.scan(r, ScanArgs.Builder.matches(key("scan:*")).limit(50)).forEachRemaining(keys::add);
      Conversation.scanned(keys);
      return null;
    });
    Conversation.column("subscribe", () -> {
      ArrayBlockingQueue<String> got = new ArrayBlockingQueue<>(10);
      StatefulRedisPubSubConnection<String, String> s = client.connectPubSub();
      s.addListener(new RedisPubSubAdapter<String, String>() {
        @Override public void message(String pattern, String channel, String message) { got.add(channel + " " + message); }
      });
      s.sync().psubscribe("__keyspace@0__:" + key("event*"));
      Conversation.produce(key("event1"), "truth");
      same(got.poll(30, SECONDS), "__keyspace@0__:" + key("event1") + " set");
      s.close();
      return null;
    });
    Conversation.column("cache", () -> {
      Map<String, String> local = new ConcurrentHashMap<>();
      CacheFrontend<String, String> cached = ClientSideCaching.enable(CacheAccessor.forMap(local), client.connect(), TrackingArgs.Builder.enabled());
      same(cached.get(key("cached")), "truth 1");
      same(local.get(key("cached")), "truth 1");
      Conversation.produce(key("cached"), "truth 2");
      Conversation.eventually(() -> { same(cached.get(key("cached")), "truth 2"); return null; });
      same(local.get(key("cached")), "truth 2");
      return "`ClientSideCaching`";
    });
    Conversation.column("cluster", () -> {
      Conversation.refused("cluster support disabled", () -> RedisClusterClient.create(uri(Conversation.PORT).build()).connect().sync().get(key("seed")));
      return null;
    });
    Conversation.column("wait", () -> {
      r.set(key("waited"), "truth");
      same(r.waitForReplication(1, 1000), 1L);
      long began = System.nanoTime();
      same(r.waitForReplication(7, 300), 1L);
      Conversation.waited(began);
      same(r.get(key("waited")), "truth");
      return null;
    });
    Conversation.column("big", () -> {
      String want = Conversation.big();
      same(r.set(key("big"), want), "OK");
      same(r.get(key("big")).equals(want), true);
      return null;
    });
    Conversation.column("binary", () -> {
      RedisCommands<byte[], byte[]> raw = client.connect(ByteArrayCodec.INSTANCE).sync();
      byte[] k = Conversation.every(key("")), v = Conversation.every("truth");
      same(raw.set(k, v), "OK");
      same(Arrays.equals(raw.get(k), v), true);
      return null;
    });
    Conversation.column("pool", () -> {
      Conversation.callers(r::get);
      return "one connection for all callers";
    });
    Conversation.column("tls", () -> {
      RedisClient c = RedisClient.create(uri(Conversation.TLS_PORT).withSsl(true).build());
      c.setOptions(ClientOptions.builder().sslOptions(SslOptions.builder().trustManager(new File(System.getenv("COMPAT_CA"))).build()).build());
      same(c.connect().sync().get(key("seed")), seed);
      return null;
    });
    Conversation.column("reconnect", () -> Conversation.reconnect(() -> r.get(key("seed"))));
    System.exit(0);
  }
}
