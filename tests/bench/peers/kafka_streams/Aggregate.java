import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * The aggregate in Kafka Streams: count, sum of order values and newest occurred_at of each profile, in RocksDB with a
 * changelog, one JSON record out per update. Arguments: bootstrap servers, application id, source, target, state
 * folder, guarantee, cache bytes (-1 leaves the default), then linger ms and commit interval ms where they are to
 * differ from the defaults. Prints "processed N" ten times a second.
 */
public final class Aggregate {
    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Order(@JsonProperty("priceTotal") double priceTotal) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Commerce(@JsonProperty("order") Order order) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Body(@JsonProperty("commerce") Commerce commerce) {}

    @JsonIgnoreProperties(ignoreUnknown = true)
    public record Event(
            @JsonProperty("id") String id,
            @JsonProperty("occurred_at") long occurredAt,
            @JsonProperty("body") Body body) {
        double amount() {
            return body == null || body.commerce() == null || body.commerce().order() == null
                    ? 0.0
                    : body.commerce().order().priceTotal();
        }
    }

    public record Total(String id, long count, double sum, long last) {
        Total plus(Event event) {
            return new Total(event.id(), count + 1, sum + event.amount(), Math.max(last, event.occurredAt()));
        }
    }

    private static final AtomicLong PROCESSED = new AtomicLong();

    public static void main(String[] args) throws InterruptedException {
        KafkaStreams streams = new KafkaStreams(topology(args[2], args[3]).build(), properties(args));
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(20));
            System.out.println("closed");
            stopped.countDown();
        }));
        streams.start();
        while (!stopped.await(100, java.util.concurrent.TimeUnit.MILLISECONDS)) {
            System.out.println("processed " + PROCESSED.get());
        }
    }

    private static StreamsBuilder topology(String source, String target) {
        ObjectMapper mapper = new ObjectMapper();
        ObjectReader reader = mapper.readerFor(Event.class);
        ObjectWriter writer = mapper.writerFor(Total.class);
        Serde<Event> events = Serdes.serdeFrom((topic, event) -> null, (topic, raw) -> read(reader, raw));
        Serde<Total> json = Serdes.serdeFrom((topic, total) -> write(writer, total), (topic, raw) -> null);
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(source, Consumed.with(Serdes.String(), events))
                .groupByKey()
                .aggregate(
                        () -> new Total("", 0, 0.0, 0),
                        (key, event, total) -> {
                            PROCESSED.incrementAndGet();
                            return total.plus(event);
                        },
                        Materialized.<String, Total, KeyValueStore<Bytes, byte[]>>as("totals")
                                .withKeySerde(Serdes.String())
                                .withValueSerde(Serdes.serdeFrom((topic, total) -> pack(total), (topic, raw) -> unpack(raw))))
                .toStream()
                .to(target, Produced.with(Serdes.String(), json));
        return builder;
    }

    private static Properties properties(String[] args) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[5]);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        properties.put("producer.compression.type", "lz4");
        if (!args[6].equals("-1")) {
            properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, args[6]);
        }
        if (args.length > 7 && !args[7].isEmpty()) {
            properties.put("producer.linger.ms", args[7]);
        }
        if (args.length > 8 && !args[8].isEmpty()) {
            properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, args[8]);
        }
        return properties;
    }

    private static Event read(ObjectReader reader, byte[] raw) {
        try {
            return reader.readValue(raw);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static byte[] write(ObjectWriter writer, Total total) {
        try {
            return writer.writeValueAsBytes(total);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static byte[] pack(Total total) {
        byte[] id = total.id().getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(24 + id.length)
                .putLong(total.count())
                .putDouble(total.sum())
                .putLong(total.last())
                .put(id)
                .array();
    }

    private static Total unpack(byte[] raw) {
        if (raw == null) {
            return null;
        }
        ByteBuffer buffer = ByteBuffer.wrap(raw);
        long count = buffer.getLong();
        double sum = buffer.getDouble();
        long last = buffer.getLong();
        return new Total(new String(raw, 24, raw.length - 24, StandardCharsets.UTF_8), count, sum, last);
    }
}
