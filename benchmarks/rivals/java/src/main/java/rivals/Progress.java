package rivals;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.streams.KafkaStreams;

/** How far an application is with a topic that was never trimmed. */
final class Progress {
    private static final Duration PAUSE = Duration.ofMillis(10);
    private static final Duration STALLED = Duration.ofSeconds(120);

    private Progress() {}

    /**
     * Waits until so many records were committed; fails when two minutes pass without progress.
     *
     * <p>The broker is asked only when the application itself says that it has processed them: it
     * has enough to do.
     */
    static void awaitCommit(KafkaStreams streams, String servers, String group, long count)
            throws Exception {
        await(() -> processed(streams), count);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            await(() -> committed(admin, group), count);
        }
    }

    private static void await(Count progress, long count) throws Exception {
        long best = -1;
        long since = System.nanoTime();
        while (best < count) {
            long now = progress.get();
            if (now > best) {
                best = now;
                since = System.nanoTime();
            } else if (System.nanoTime() - since > STALLED.toNanos()) {
                throw new IllegalStateException("still at " + best + " of " + count + " records");
            }
            Thread.sleep(PAUSE.toMillis());
        }
    }

    private static long processed(KafkaStreams streams) {
        return streams.metrics().entrySet().stream()
                .filter(each -> each.getKey().group().equals("stream-thread-metrics"))
                .filter(each -> each.getKey().name().equals("process-total"))
                .mapToLong(each -> ((Double) each.getValue().metricValue()).longValue())
                .sum();
    }

    private static long committed(Admin admin, String group)
            throws ExecutionException, InterruptedException {
        return admin.listConsumerGroupOffsets(group)
                .partitionsToOffsetAndMetadata()
                .get()
                .values()
                .stream()
                .filter(each -> each != null)
                .mapToLong(OffsetAndMetadata::offset)
                .sum();
    }

    private interface Count {
        long get() throws Exception;
    }
}
