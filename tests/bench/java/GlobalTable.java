import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

/**
 * The smallest application with a GlobalKTable, on Kafka Streams' defaults: RocksDB in a state directory. It reads
 * read_committed like everything that it is compared with. Arguments: bootstrap, topic, state directory, and keys to
 * look up once it is ready. Prints READY when the table is restored, and FOUND with how many of the keys are there;
 * ends, with its checkpoint written, on SIGTERM.
 */
public final class GlobalTable {
    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-global-table");
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        p.put(StreamsConfig.STATE_DIR_CONFIG, args[2]);
        p.put(StreamsConfig.globalConsumerPrefix("isolation.level"), "read_committed");
        StreamsBuilder builder = new StreamsBuilder();
        builder.globalTable(args[1], Consumed.with(Serdes.String(), Serdes.ByteArray()),
            Materialized.<String, byte[], KeyValueStore<Bytes, byte[]>>as("table"));
        KafkaStreams streams = new KafkaStreams(builder.build(), p);
        CountDownLatch ready = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                ready.countDown();
            } else if (now == KafkaStreams.State.ERROR) {
                System.out.println("ERROR");
                Runtime.getRuntime().halt(1);
            }
        });
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            closed.countDown();
        }));
        streams.start();
        ready.await();
        System.out.println("READY");
        System.out.flush();
        ReadOnlyKeyValueStore<String, byte[]> table =
            streams.store(StoreQueryParameters.fromNameAndType("table", QueryableStoreTypes.keyValueStore()));
        long found = Arrays.stream(args).skip(3).filter(k -> {
            byte[] v = table.get(k);
            return v != null && new String(v, StandardCharsets.UTF_8).contains(k);
        }).count();
        System.out.println("FOUND " + found);
        System.out.flush();
        closed.await();
    }
}
