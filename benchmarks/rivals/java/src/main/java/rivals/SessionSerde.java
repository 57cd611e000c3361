package rivals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.util.Utf8;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** A session as Avro's union fields one after the other. For one thread at a time, by Streams' rule. */
final class SessionSerde implements Serde<Session> {
    @Override
    public Serializer<Session> serializer() {
        return new Writer();
    }

    @Override
    public Deserializer<Session> deserializer() {
        return new Reader();
    }

    private static final class Reader implements Deserializer<Session> {
        private final ThreadLocal<BinaryDecoder> decoders = new ThreadLocal<>();

        @Override
        public Session deserialize(String topic, byte[] bytes) {
            if (bytes == null) return null;
            BinaryDecoder in = DecoderFactory.get().binaryDecoder(bytes, decoders.get());
            decoders.set(in);
            Session session = new Session();
            try {
                session.merge(in);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
            return session;
        }
    }

    private static final class Writer implements Serializer<Session> {
        private final ThreadLocal<Buffer> buffers = ThreadLocal.withInitial(Buffer::new);

        @Override
        public byte[] serialize(String topic, Session session) {
            return session == null ? null : buffers.get().write(session);
        }
    }

    private static final class Buffer {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
        private final BinaryEncoder out = EncoderFactory.get().directBinaryEncoder(bytes, null);

        byte[] write(Session session) {
            bytes.reset();
            try {
                text(session.sessionName);
                text(session.task);
                number(session.sessionEval);
                text(session.sessionEvalReason);
                flag(session.isSuccessful);
                text(session.isSuccessfulReason);
                flag(session.isFinished);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
            return bytes.toByteArray();
        }

        private void text(Utf8 value) throws IOException {
            if (given(value)) out.writeString(value);
        }

        private void number(Double value) throws IOException {
            if (given(value)) out.writeDouble(value);
        }

        private void flag(Boolean value) throws IOException {
            if (given(value)) out.writeBoolean(value);
        }

        private boolean given(Object value) throws IOException {
            out.writeIndex(value == null ? 0 : 1);
            return value != null;
        }
    }
}
