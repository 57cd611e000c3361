package rivals;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.apache.avro.io.BinaryDecoder;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/** Folds a topic with Kafka Streams, exactly once, into a RocksDB store with a changelog. */
public final class StreamsFold {
    private static final String STORE = "sessions";
    private static final Duration CLOSE = Duration.ofSeconds(30);
    private static final ThreadLocal<Events> EVENTS = ThreadLocal.withInitial(Events::new);

    private StreamsFold() {}

    /**
     * Arguments: brokers, topic, number of records, folder, threads. Writes the sessions to
     * results.jsonl, then prints the seconds the fold took.
     */
    public static void main(String[] given) throws Exception {
        Path folder = Path.of(given[3]);
        Properties settings = settings(given[0], folder, given[4]);
        String group = settings.getProperty(StreamsConfig.APPLICATION_ID_CONFIG);
        long start = System.nanoTime();
        try (KafkaStreams streams = new KafkaStreams(topology(given[1]).build(), settings)) {
            streams.setUncaughtExceptionHandler(StreamsFold::fail);
            streams.start();
            Progress.awaitCommit(streams, given[0], group, Long.parseLong(given[2]));
            long end = System.nanoTime();
            export(streams, folder.resolve("results.jsonl"));
            streams.close(CLOSE);
            System.out.println((end - start) / 1e9);
        }
    }

    private static Properties settings(String servers, Path folder, String threads) {
        Properties settings = new Properties();
        settings.setProperty(StreamsConfig.APPLICATION_ID_CONFIG, "streams-" + UUID.randomUUID());
        settings.setProperty(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        settings.setProperty(StreamsConfig.STATE_DIR_CONFIG, folder.resolve("state").toString());
        settings.setProperty(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
        settings.setProperty(
                StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        return settings;
    }

    private static StreamsBuilder topology(String topic) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(topic, Consumed.with(Serdes.String(), Serdes.ByteArray()))
                .groupByKey()
                .aggregate(
                        Session::new,
                        StreamsFold::merge,
                        Materialized.<String, Session, KeyValueStore<Bytes, byte[]>>as(STORE)
                                .withKeySerde(Serdes.String())
                                .withValueSerde(new SessionSerde()));
        return builder;
    }

    private static Session merge(String sessionId, byte[] record, Session session) {
        try {
            BinaryDecoder in = EVENTS.get().open(record);
            in.skipString(); // session_id, which is the key
            Events.skipHead(in);
            session.merge(in);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return session;
    }

    private static StreamThreadExceptionResponse fail(Throwable error) {
        error.printStackTrace();
        Runtime.getRuntime().halt(1);
        return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    }

    private static void export(KafkaStreams streams, Path file) throws IOException {
        var query =
                StoreQueryParameters.fromNameAndType(
                        STORE, QueryableStoreTypes.<String, Session>keyValueStore());
        ObjectMapper json = new ObjectMapper();
        try (BufferedWriter out = Files.newBufferedWriter(file);
                KeyValueIterator<String, Session> states = streams.store(query).all()) {
            while (states.hasNext()) {
                KeyValue<String, Session> each = states.next();
                out.write(json.writeValueAsString(state(each.key, each.value)));
                out.newLine();
            }
        }
    }

    private static Map<String, Object> state(String sessionId, Session session) {
        Map<String, Object> state = new LinkedHashMap<>();
        state.put("session_id", sessionId);
        state.put("session_name", text(session.sessionName));
        state.put("task", text(session.task));
        state.put("session_eval", session.sessionEval);
        state.put("session_eval_reason", text(session.sessionEvalReason));
        state.put("is_successful", session.isSuccessful);
        state.put("is_successful_reason", text(session.isSuccessfulReason));
        state.put("is_finished", session.isFinished);
        return state;
    }

    private static String text(Object value) {
        return value == null ? null : value.toString();
    }
}
