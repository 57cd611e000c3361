package rivals;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.errors.GroupIdNotFoundException;

/** Says when a group has committed so many records of a topic that was never trimmed. */
final class Committed {
    private static final Duration PAUSE = Duration.ofMillis(20);
    private static final Duration STALLED = Duration.ofSeconds(120);

    private Committed() {}

    /** Waits; fails when nothing more was committed for two minutes. */
    static void await(String servers, String group, long count)
            throws ExecutionException, InterruptedException {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
            long best = -1;
            long since = System.nanoTime();
            while (best < count) {
                long now = committed(admin, group);
                if (now > best) {
                    best = now;
                    since = System.nanoTime();
                } else if (System.nanoTime() - since > STALLED.toNanos()) {
                    throw new IllegalStateException("still at " + best + " of " + count);
                }
                Thread.sleep(PAUSE.toMillis());
            }
        }
    }

    private static long committed(Admin admin, String group)
            throws ExecutionException, InterruptedException {
        try {
            return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
                    .values().stream()
                    .filter(each -> each != null)
                    .mapToLong(OffsetAndMetadata::offset)
                    .sum();
        } catch (ExecutionException error) {
            if (error.getCause() instanceof GroupIdNotFoundException) return 0;
            throw error;
        }
    }
}
