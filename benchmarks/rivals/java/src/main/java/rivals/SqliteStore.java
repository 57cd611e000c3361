package rivals;

import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Map;
import org.apache.avro.util.Utf8;

/** Sessions and positions in one SQLite file, changed in one transaction. */
final class SqliteStore implements AutoCloseable {
    private static final String[] TABLES = {
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = NORMAL",
        """
        CREATE TABLE sessions (
            session_id TEXT NOT NULL UNIQUE, session_name TEXT, task TEXT, session_eval REAL,
            session_eval_reason TEXT, is_successful INTEGER, is_successful_reason TEXT,
            is_finished INTEGER
        )
        """,
        "CREATE TABLE positions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL)",
    };
    private static final String UPSERT =
            """
            INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (session_id) DO UPDATE SET
                session_name = COALESCE(excluded.session_name, session_name),
                task = COALESCE(excluded.task, task),
                session_eval = COALESCE(excluded.session_eval, session_eval),
                session_eval_reason = COALESCE(excluded.session_eval_reason, session_eval_reason),
                is_successful = COALESCE(excluded.is_successful, is_successful),
                is_successful_reason =
                    COALESCE(excluded.is_successful_reason, is_successful_reason),
                is_finished = COALESCE(excluded.is_finished, is_finished)
            """;
    private static final String POSITION =
            """
            INSERT INTO positions VALUES (?, ?)
            ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset
            """;

    private final Connection connection;
    private final PreparedStatement upsert;
    private final PreparedStatement position;

    SqliteStore(Path file) throws SQLException {
        connection = DriverManager.getConnection("jdbc:sqlite:" + file);
        try (Statement statement = connection.createStatement()) {
            for (String each : TABLES) statement.execute(each);
        }
        connection.setAutoCommit(false);
        upsert = connection.prepareStatement(UPSERT);
        position = connection.prepareStatement(POSITION);
    }

    void commit(Map<String, Session> sessions, Map<Integer, Long> positions) throws SQLException {
        for (Map.Entry<String, Session> each : sessions.entrySet()) {
            bind(each.getKey(), each.getValue());
            upsert.addBatch();
        }
        upsert.executeBatch();
        for (Map.Entry<Integer, Long> each : positions.entrySet()) {
            position.setInt(1, each.getKey());
            position.setLong(2, each.getValue());
            position.addBatch();
        }
        position.executeBatch();
        connection.commit();
    }

    @Override
    public void close() throws SQLException {
        connection.close();
    }

    private void bind(String sessionId, Session session) throws SQLException {
        upsert.setString(1, sessionId);
        upsert.setString(2, text(session.sessionName));
        upsert.setString(3, text(session.task));
        upsert.setObject(4, session.sessionEval);
        upsert.setString(5, text(session.sessionEvalReason));
        upsert.setObject(6, session.isSuccessful);
        upsert.setString(7, text(session.isSuccessfulReason));
        upsert.setObject(8, session.isFinished);
    }

    private static String text(Utf8 value) {
        return value == null ? null : value.toString();
    }
}
