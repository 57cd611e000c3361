package rivals;

import java.io.IOException;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.util.Utf8;

/** The last values of a session; null is not given. Texts stay UTF-8 until someone asks. */
final class Session {
    Utf8 sessionName;
    Utf8 task;
    Double sessionEval;
    Utf8 sessionEvalReason;
    Boolean isSuccessful;
    Utf8 isSuccessfulReason;
    Boolean isFinished;

    /**
     * Merges the state fields of an event, up to is_finished; those after it are not folded here.
     *
     * @param in a decoder that stands behind lost_before.
     */
    void merge(BinaryDecoder in) throws IOException {
        if (in.readIndex() == 1) sessionName = in.readString(null);
        if (in.readIndex() == 1) task = in.readString(null);
        if (in.readIndex() == 1) sessionEval = in.readDouble();
        if (in.readIndex() == 1) sessionEvalReason = in.readString(null);
        if (in.readIndex() == 1) isSuccessful = in.readBoolean();
        if (in.readIndex() == 1) isSuccessfulReason = in.readString(null);
        if (in.readIndex() == 1) isFinished = in.readBoolean();
    }
}
