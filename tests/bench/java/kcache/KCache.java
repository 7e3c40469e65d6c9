import io.kcache.KafkaCache;
import io.kcache.KafkaCacheConfig;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;

/**
 * The smallest application with a KafkaCache, on kcache's defaults (a map in memory) but for two things: it reads
 * read_committed like everything that it is compared with, and it is read-only, since it would write a record to find
 * the end otherwise. Arguments: bootstrap, topic, and keys to look up once it is ready. Prints READY when init() has
 * returned, and FOUND with how many of the keys are there; ends on SIGTERM.
 */
public final class KCache {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put(KafkaCacheConfig.KAFKACACHE_BOOTSTRAP_SERVERS_CONFIG, args[0]);
        p.put(KafkaCacheConfig.KAFKACACHE_TOPIC_CONFIG, args[1]);
        p.put(KafkaCacheConfig.KAFKACACHE_TOPIC_READ_ONLY_CONFIG, "true");
        p.put("kafkacache.isolation.level", "read_committed");
        KafkaCache<String, byte[]> cache =
            new KafkaCache<>(new KafkaCacheConfig(p), Serdes.String(), Serdes.ByteArray());
        cache.init();
        System.out.println("READY");
        System.out.flush();
        long found = Arrays.stream(args).skip(2).filter(k -> {
            byte[] v = cache.get(k);
            return v != null && new String(v, StandardCharsets.UTF_8).contains(k);
        }).count();
        System.out.println("FOUND " + found);
        System.out.flush();
        new CountDownLatch(1).await();
    }
}
