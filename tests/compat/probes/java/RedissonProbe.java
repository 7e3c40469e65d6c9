import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.redisson.Redisson;
import org.redisson.api.*;
import org.redisson.api.options.KeysScanOptions;
import org.redisson.client.codec.ByteArrayCodec;
import org.redisson.client.codec.StringCodec;
import org.redisson.config.Config;
import org.redisson.config.SingleServerConfig;

/** Tries what Redisson has of strings: buckets, batches, keys and pattern topics. Most of its other objects are scripts, which are refused. */
public final class RedissonProbe {
  interface Change { void to(SingleServerConfig c); }

  static RedissonClient open(int port, Change change) {
    Config config = new Config();
    config.setCodec(StringCodec.INSTANCE);
    SingleServerConfig single = config.useSingleServer().setAddress("redis://" + Conversation.HOST + ":" + port);
    change.to(single);
    return Redisson.create(config);
  }

  static String key(String name) { return Conversation.key(name); }

  static void same(Object got, Object want) { Conversation.same(got, want); }

  static String get(RedissonClient r, String name) { return r.<String>getBucket(key(name)).get(); }

  static String seedAt(int port, Change change) {
    RedissonClient r = open(port, change);
    try {
      return get(r, "seed");
    } finally {
      r.shutdown();
    }
  }

  public static void main(String[] args) throws Exception {
    Conversation.version();
    String seed = Conversation.SEED;
    RedissonClient r = open(Conversation.PORT, c -> {});
    Conversation.column("connect", () -> {
      same(get(r, "seed"), seed);
      return null;
    });
    Conversation.column("auth", () -> {
      same(seedAt(Conversation.AUTH_PORT, c -> c.setPassword(Conversation.PASSWORD)), seed);
      Conversation.refused("WRONGPASS", () -> seedAt(Conversation.AUTH_PORT, c -> c.setPassword("wrong")));
      Conversation.refused("NOAUTH", () -> seedAt(Conversation.AUTH_PORT, c -> {}));
      return null;
    });
    Conversation.column("select", () -> {
      same(seedAt(Conversation.PORT, c -> c.setDatabase(1)), "truth of database 1");
      return null;
    });
    Conversation.column("read", () -> {
      same(get(r, "seed"), seed);
      same(get(r, "none"), null);
      same(r.getKeys().countExists(key("seed"), key("none"), key("seed")), 2L);
      same(r.getBucket(key("seed")).size(), (long) seed.length());
      same(r.getBucket(key("seed")).remainTimeToLive(), -1L);
      same(r.getKeys().getType(key("seed")), RType.OBJECT);
      same(r.getBuckets().<String>get(key("seed"), key("none"), key("scan:7")), java.util.Map.of(key("seed"), seed, key("scan:7"), "truth 7"));
      return null;
    });
    Conversation.column("write", () -> {
      r.getBucket(key("w")).set("truth w");
      same(get(r, "w"), "truth w");
      r.getBuckets().set(java.util.Map.of(key("w1"), "truth 1", key("w2"), "truth 2"));
      same(get(r, "w2"), "truth 2");
      same(r.getKeys().delete(key("w"), key("w1"), key("none")), 2L);
      same(get(r, "w"), null);
      RedissonClient readonly = open(Conversation.PORT, c -> c.setDatabase(2).setRetryAttempts(0));
      Conversation.refused("READONLY", () -> { readonly.getBucket(key("seed")).set("x"); return null; });
      readonly.shutdown();
      return null;
    });
    Conversation.column("pipeline", () -> {
      RBatch b = r.createBatch();
      List<Object> want = new ArrayList<>();
      for (int n = 0; n < 100; n++) b.getBucket(key("p:" + n)).setAsync("truth " + n);
      for (int n = 0; n < 100; n++) { b.getBucket(key("p:" + n)).getAsync(); want.add("truth " + n); }
      same(b.execute().getResponses().subList(100, 200), want);
      return "`createBatch()`";
    });
    Conversation.column("transaction", () -> {
      RBatch b = r.createBatch(BatchOptions.defaults().executionMode(BatchOptions.ExecutionMode.IN_MEMORY_ATOMIC));
      b.getBucket(key("t1")).setAsync("truth 1");
      b.getBucket(key("t2")).setAsync("truth 2");
      b.getBucket(key("t1")).getAsync();
      b.getBucket(key("t2")).deleteAsync();
      same(b.execute().getResponses().get(2), "truth 1");
      same(get(r, "t1"), "truth 1");
      same(get(r, "t2"), null);
      return "a batch that is `IN_MEMORY_ATOMIC`";
    });
    Conversation.column("scan", () -> {
      Conversation.scanned(r.getKeys().getKeys(KeysScanOptions.defaults().pattern(key("scan:*")).chunkSize(50)));
      return null;
    });
    Conversation.column("subscribe", () -> {
      ArrayBlockingQueue<String> got = new ArrayBlockingQueue<>(10);
      RPatternTopic topic = r.getPatternTopic("__keyspace@0__:" + key("event*"), StringCodec.INSTANCE);
      topic.addListener(String.class, (pattern, channel, message) -> got.add(channel + " " + message));
      Conversation.produce(key("event1"), "truth");
      same(got.poll(30, TimeUnit.SECONDS), "__keyspace@0__:" + key("event1") + " set");
      return null;
    });
    Conversation.column("big", () -> {
      String want = Conversation.big();
      r.getBucket(key("big")).set(want);
      same(get(r, "big").equals(want), true);
      return null;
    });
    Conversation.column("binary", () -> {
      RBucket<byte[]> b = r.getBucket(key("binary"), ByteArrayCodec.INSTANCE);
      b.set(Conversation.every("truth"));
      same(Arrays.equals(b.get(), Conversation.every("truth")), true);
      return "its keys are text";
    });
    Conversation.column("pool", () -> Conversation.callers(k -> r.<String>getBucket(k).get()));
    Conversation.column("reconnect", () -> Conversation.reconnect(() -> get(r, "seed")));
    System.exit(0);
  }
}
