import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;
import redis.clients.jedis.*;
import redis.clients.jedis.csc.CacheConfig;

/** Tries Jedis. How a client is opened differs between its versions: Open. */
public final class JedisProbe {
  static UnifiedJedis open(int port, DefaultJedisClientConfig.Builder config) {
    return Open.pooled(new HostAndPort(Conversation.HOST, port), config.build());
  }

  static DefaultJedisClientConfig.Builder config() { return DefaultJedisClientConfig.builder(); }

  static String key(String name) { return Conversation.key(name); }

  static void same(Object got, Object want) { Conversation.same(got, want); }

  static SSLSocketFactory trusting() throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (FileInputStream in = new FileInputStream(System.getenv("COMPAT_CA"))) {
      store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
    }
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, trust.getTrustManagers(), null);
    return context.getSocketFactory();
  }

  public static void main(String[] args) throws Exception {
    Conversation.version();
    String seed = Conversation.SEED;
    UnifiedJedis j = open(Conversation.PORT, config());
    Conversation.column("connect", () -> {
      same(j.ping(), "PONG");
      same(new String((byte[]) j.sendCommand(Protocol.Command.ECHO, "truth")), "truth");
      return null;
    });
    Conversation.column("auth", () -> {
      same(open(Conversation.AUTH_PORT, config().password(Conversation.PASSWORD)).get(key("seed")), seed);
      Conversation.refused("WRONGPASS", () -> open(Conversation.AUTH_PORT, config().password("wrong")).get(key("seed")));
      Conversation.refused("NOAUTH", () -> open(Conversation.AUTH_PORT, config()).get(key("seed")));
      return null;
    });
    Conversation.column("select", () -> {
      same(open(Conversation.PORT, config().database(1)).get(key("seed")), "truth of database 1");
      return null;
    });
    Conversation.column("read", () -> {
      same(j.get(key("seed")), seed);
      same(j.get(key("none")), null);
      same(j.mget(key("seed"), key("none"), key("scan:7")), Conversation.list(seed, null, "truth 7"));
      same(j.exists(key("seed"), key("none"), key("seed")), 2L);
      same(j.strlen(key("seed")), (long) seed.length());
      same(j.getrange(key("seed"), 0, 4), "truth");
      same(Arrays.asList(j.ttl(key("seed")), j.ttl(key("none"))), Arrays.asList(-1L, -2L));
      same(j.type(key("seed")), "string");
      return null;
    });
    Conversation.column("write", () -> {
      same(j.set(key("w"), "truth w"), "OK");
      same(j.get(key("w")), "truth w");
      same(j.mset(key("w1"), "truth 1", key("w2"), "truth 2"), "OK");
      same(j.mget(key("w1"), key("w2")), Conversation.list("truth 1", "truth 2"));
      same(j.del(key("w"), key("w1"), key("none")), 2L);
      same(j.get(key("w")), null);
      Conversation.refused("READONLY", () -> open(Conversation.PORT, config().database(2)).set(key("seed"), "x"));
      return null;
    });
    Conversation.column("pipeline", () -> {
      try (AbstractPipeline p = (AbstractPipeline) j.pipelined()) {
        for (int n = 0; n < 100; n++) p.set(key("p:" + n), "truth " + n);
        List<Response<String>> gets = new ArrayList<>();
        for (int n = 0; n < 100; n++) gets.add(p.get(key("p:" + n)));
        p.sync();
        for (int n = 0; n < 100; n++) same(gets.get(n).get(), "truth " + n);
      }
      return null;
    });
    Conversation.column("transaction", () -> {
      try (AbstractTransaction t = j.multi()) {
        t.set(key("t1"), "truth 1");
        t.set(key("t2"), "truth 2");
        t.get(key("t1"));
        t.del(key("t2"));
        same(t.exec(), Arrays.<Object>asList("OK", "OK", "truth 1", 1L));
      }
      same(j.mget(key("t1"), key("t2")), Conversation.list("truth 1", null));
      return null;
    });
    Conversation.column("scan", () -> {
      Conversation.scanned(j.scanIteration(50, key("scan:*")).collect(new ArrayList<>()));
      return null;
    });
    Conversation.column("subscribe", () -> {
      ArrayBlockingQueue<String> got = new ArrayBlockingQueue<>(10);
      JedisPubSub s = new JedisPubSub() {
        @Override public void onPSubscribe(String pattern, int n) { got.add("subscribed " + n); }
        @Override public void onPMessage(String pattern, String channel, String message) { got.add(channel + " " + message); }
      };
      Thread reading = new Thread(() -> {
        try {
          open(Conversation.PORT, config()).psubscribe(s, "__keyspace@0__:" + key("event*"));
        } catch (RuntimeException e) {
          got.add(Conversation.said(e));
        }
      });
      reading.setDaemon(true);
      reading.start();
      same(got.poll(30, TimeUnit.SECONDS), "subscribed 1");
      Conversation.produce(key("event1"), "truth");
      same(got.poll(30, TimeUnit.SECONDS), "__keyspace@0__:" + key("event1") + " set");
      s.punsubscribe();
      return null;
    });
    Conversation.column("cache", () -> {
      UnifiedJedis c = Open.caching(new HostAndPort(Conversation.HOST, Conversation.PORT), config().protocol(RedisProtocol.RESP3).build(), CacheConfig.builder().maxSize(100).build());
      same(c.get(key("cached")), "truth 1");
      same(c.get(key("cached")), "truth 1");
      same(c.getCache().getStats().getHitCount(), 1L);
      Conversation.produce(key("cached"), "truth 2");
      Conversation.eventually(() -> { same(c.get(key("cached")), "truth 2"); return null; });
      same(c.get(key("cached")), "truth 2");
      return "`CacheConfig`, its hits counted";
    });
    Conversation.column("cluster", () -> {
      Conversation.refused("luster", () -> {
        Object c = new JedisCluster(Set.of(new HostAndPort(Conversation.HOST, Conversation.PORT)), config().build());
        return ((JedisCluster) c).get(key("seed"));
      });
      return null;
    });
    Conversation.column("wait", () -> {
      try (Jedis one = new Jedis(Conversation.HOST, Conversation.PORT)) { // WAIT is of what its connection wrote
        one.set(key("waited"), "truth");
        same(one.waitReplicas(1, 1000), 1L);
        long began = System.nanoTime();
        same(one.waitReplicas(7, 300), 1L);
        Conversation.waited(began);
        same(one.get(key("waited")), "truth");
      }
      return null;
    });
    Conversation.column("big", () -> {
      String want = Conversation.big();
      same(j.set(key("big"), want), "OK");
      same(j.get(key("big")).equals(want), true);
      return null;
    });
    Conversation.column("binary", () -> {
      byte[] k = Conversation.every(key("")), v = Conversation.every("truth");
      same(j.set(k, v), "OK");
      same(Arrays.equals(j.get(k), v), true);
      return null;
    });
    Conversation.column("pool", () -> Conversation.callers(j::get));
    Conversation.column("tls", () -> {
      same(open(Conversation.TLS_PORT, config().ssl(true).sslSocketFactory(trusting())).get(key("seed")), seed);
      return null;
    });
    // Last: what broke stays in pools until it is used.
    Conversation.column("reconnect", () -> Conversation.reconnect(() -> j.get(key("seed"))));
    System.exit(0);
  }
}
