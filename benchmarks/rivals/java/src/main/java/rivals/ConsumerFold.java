package rivals;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.io.BinaryDecoder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Folds a topic on one thread into SQLite, in transactions of 50,000 records. */
public final class ConsumerFold {
    private static final int RECORDS_A_TRANSACTION = 50_000;
    private static final Duration STALLED = Duration.ofSeconds(60);

    private final Events events = new Events();
    private final Map<String, Session> sessions = new HashMap<>();
    private final Map<Integer, Long> positions = new HashMap<>();
    private int waiting;

    private ConsumerFold() {}

    /** Arguments: brokers, topic, number of records, folder. Prints the seconds it took. */
    public static void main(String[] given) throws Exception {
        long start = System.nanoTime();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings(given[0]));
                SqliteStore store = new SqliteStore(Path.of(given[3], "sessions.db"))) {
            new ConsumerFold().run(consumer, store, given[1], Long.parseLong(given[2]));
            System.out.println((System.nanoTime() - start) / 1e9);
        }
    }

    private static Map<String, Object> settings(String servers) {
        return Map.of(
                "bootstrap.servers", servers,
                "key.deserializer", ByteArrayDeserializer.class,
                "value.deserializer", ByteArrayDeserializer.class,
                "enable.auto.commit", false,
                "max.poll.records", RECORDS_A_TRANSACTION,
                // One thread fetches and stores: what comes meanwhile waits in the socket.
                "max.partition.fetch.bytes", 8 << 20,
                "receive.buffer.bytes", 8 << 20);
    }

    private void run(
            KafkaConsumer<byte[], byte[]> consumer, SqliteStore store, String topic, long count)
            throws Exception {
        List<TopicPartition> partitions =
                consumer.partitionsFor(topic).stream()
                        .map(each -> new TopicPartition(topic, each.partition()))
                        .toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        long folded = 0;
        while (folded < count) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(STALLED);
            if (records.isEmpty()) throw new IllegalStateException("no record came for " + STALLED);
            folded += fold(records);
            if (waiting >= RECORDS_A_TRANSACTION || folded >= count) commit(store);
        }
    }

    private int fold(ConsumerRecords<byte[], byte[]> records) throws IOException {
        for (ConsumerRecord<byte[], byte[]> record : records) {
            BinaryDecoder in = events.open(record.value());
            Session session = sessions.computeIfAbsent(in.readString(), id -> new Session());
            Events.skipHead(in);
            session.merge(in);
        }
        records.nextOffsets().forEach((place, next) -> positions.put(place.partition(), next.offset()));
        waiting += records.count();
        return records.count();
    }

    private void commit(SqliteStore store) throws Exception {
        store.commit(sessions, positions);
        sessions.clear();
        positions.clear();
        waiting = 0;
    }
}
