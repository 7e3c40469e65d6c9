import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;

/**
 * An application whose only content is a GlobalKTable, on Kafka Streams' defaults (RocksDB in a state directory) but for
 * read_committed, with what a GlobalKTable answers over HTTP on loopback. Arguments: bootstrap, topic, state directory.
 * Ready is Kafka Streams' own RUNNING. When Kafka Streams ends in ERROR it is closed and started again a
 * second later, as whoever runs such an application would have it.
 *
 * /ready, /get?&lt;key in hexadecimal&gt; and /all, a line for each entry: key, space, value in hexadecimal. 200 is an answer,
 * 404 no such key, 503 no answer now.
 */
public final class GlobalTable {
    private static volatile KafkaStreams streams;
    private static volatile boolean closing;

    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(Executors.newFixedThreadPool(4, r -> {
            Thread t = new Thread(r);
            t.setDaemon(true);
            return t;
        }));
        server.createContext("/ready", e -> {
            KafkaStreams s = streams;
            boolean running = s != null && s.state() == KafkaStreams.State.RUNNING;
            answer(e, running ? 200 : 503, s == null ? "not started" : s.state().toString());
        });
        server.createContext("/get", e -> query(e, table -> {
            String key = new String(HexFormat.of().parseHex(e.getRequestURI().getRawQuery()), StandardCharsets.UTF_8);
            byte[] value = table.get(key);
            answer(e, value == null ? 404 : 200, value == null ? "" : HexFormat.of().formatHex(value));
        }));
        server.createContext("/all", e -> query(e, table -> {
            StringBuilder lines = new StringBuilder();
            try (KeyValueIterator<String, byte[]> all = table.all()) {
                while (all.hasNext()) {
                    KeyValue<String, byte[]> entry = all.next();
                    lines.append(HexFormat.of().formatHex(entry.key.getBytes(StandardCharsets.UTF_8))).append(' ')
                        .append(HexFormat.of().formatHex(entry.value)).append('\n');
                }
            }
            answer(e, 200, lines.toString());
        }));
        server.start();
        System.out.println("LISTENING 127.0.0.1:" + server.getAddress().getPort());

        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            closing = true;
            KafkaStreams s = streams;
            if (s != null) {
                s.close(Duration.ofSeconds(20));
            }
        }));
        while (!closing) {
            runOnce(args);
            Thread.sleep(1000);
        }
    }

    /** Runs until Kafka Streams ends in ERROR. */
    private static void runOnce(String[] args) throws InterruptedException {
        Properties p = new Properties();
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        p.put(StreamsConfig.STATE_DIR_CONFIG, args[2]);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, "conformance"); // a part of the path below the state directory: the same after a restart
        p.put(StreamsConfig.globalConsumerPrefix("isolation.level"), "read_committed");
        StreamsBuilder builder = new StreamsBuilder();
        builder.globalTable(args[1], Consumed.with(Serdes.String(), Serdes.ByteArray()),
            Materialized.<String, byte[], KeyValueStore<Bytes, byte[]>>as("table"));
        CountDownLatch ended = new CountDownLatch(1);
        try {
            KafkaStreams s = new KafkaStreams(builder.build(), p);
            s.setStateListener((now, before) -> {
                System.out.println("STATE " + now);
                if (now == KafkaStreams.State.ERROR) {
                    ended.countDown();
                }
            });
            streams = s;
            s.start();
            ended.await();
        } catch (RuntimeException e) {
            System.out.println("ENDED " + e);
        }
        if (!closing && streams != null) {
            streams.close(Duration.ofSeconds(20));
        }
    }

    private interface Query {
        void run(ReadOnlyKeyValueStore<String, byte[]> table) throws IOException;
    }

    private static void query(HttpExchange e, Query q) throws IOException {
        try {
            q.run(streams.store(StoreQueryParameters.fromNameAndType("table", QueryableStoreTypes.keyValueStore())));
        } catch (RuntimeException x) {
            answer(e, 503, x.toString());
        }
    }

    private static void answer(HttpExchange e, int code, String body) throws IOException {
        byte[] b = body.getBytes(StandardCharsets.UTF_8);
        e.sendResponseHeaders(code, b.length == 0 ? -1 : b.length);
        try (var out = e.getResponseBody()) {
            out.write(b);
        }
    }
}
