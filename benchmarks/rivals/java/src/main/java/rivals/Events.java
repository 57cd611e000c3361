package rivals;

import java.io.IOException;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;

/** Reads the heads of records by hand, field by field, with one decoder for all. */
final class Events {
    /** C3 01 and the fingerprint of the writer schema. */
    private static final int HEADER_BYTES = 10;

    private BinaryDecoder decoder;

    /** Returns a decoder that stands at session_id. */
    BinaryDecoder open(byte[] record) {
        int length = record.length - HEADER_BYTES;
        decoder = DecoderFactory.get().binaryDecoder(record, HEADER_BYTES, length, decoder);
        return decoder;
    }

    /** Skips what lies between session_id and the state fields. */
    static void skipHead(BinaryDecoder in) throws IOException {
        in.readLong(); // occurred_at
        in.skipString(); // producer_id
        in.readLong(); // sequence
        in.readInt(); // lost_before
    }
}
