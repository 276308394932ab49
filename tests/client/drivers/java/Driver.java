// PostgreSQL's JDBC driver: what an application does with it.  Argument: host:port.  Prints each step's name when it held.
import java.math.BigDecimal;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

public class Driver {
    static final String TABLE = "java_" + ProcessHandle.current().pid();

    interface Body {
        void run() throws Exception;
    }

    static void step(String name, Body body) throws Exception {
        body.run();
        System.out.println(name);
    }

    static void equal(Object got, Object wanted) {
        if (!got.equals(wanted)) {
            throw new AssertionError("got " + got + ", wanted " + wanted);
        }
    }

    static Object one(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            rows.next();
            return rows.getObject(1);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + arguments[0] + "/lfsql";
        try (Connection connection = DriverManager.getConnection(url, "lfsql", "")) {
            run(url, connection);
        }
    }

    static void run(String url, Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE " + TABLE + " (id serial PRIMARY KEY, name text UNIQUE, n bigint, price numeric(10,2),"
                + " ok boolean, at timestamptz, day date, doc jsonb, raw bytea, tags text[], ratio float8)");
        }
        try {
            steps(url, connection);
        } finally {
            try (Statement statement = connection.createStatement()) {
                statement.execute("DROP TABLE " + TABLE);
            }
        }
    }

    static void steps(String url, Connection connection) throws Exception {
        OffsetDateTime at = OffsetDateTime.of(2024, 3, 31, 1, 2, 3, 456789000, ZoneOffset.UTC);
        LocalDate day = LocalDate.of(2024, 2, 29);

        step("values of all types come back, and the key that was made", () -> {
            String sql = "INSERT INTO " + TABLE + " (name, n, price, ok, at, day, doc, raw, tags, ratio)"
                + " VALUES (?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?, ?)";
            try (PreparedStatement insert = connection.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
                insert.setString(1, "zoë");
                insert.setLong(2, 9007199254740993L);
                insert.setBigDecimal(3, new BigDecimal("12.50"));
                insert.setBoolean(4, true);
                insert.setObject(5, at);
                insert.setObject(6, day);
                insert.setString(7, "{\"a\": 1}");
                insert.setBytes(8, new byte[] {0, -1});
                insert.setArray(9, connection.createArrayOf("text", new String[] {"x", "y\"z"}));
                insert.setDouble(10, 0.1);
                equal(insert.executeUpdate(), 1);
                try (ResultSet keys = insert.getGeneratedKeys()) {
                    keys.next();
                    equal(keys.getInt("id"), 1);
                }
            }
            try (Statement statement = connection.createStatement();
                    ResultSet row = statement.executeQuery("SELECT * FROM " + TABLE)) {
                row.next();
                equal(row.getString("name"), "zoë");
                equal(row.getLong("n"), 9007199254740993L);
                equal(row.getBigDecimal("price"), new BigDecimal("12.50"));
                equal(row.getBoolean("ok"), true);
                equal(row.getObject("at", OffsetDateTime.class).toInstant(), at.toInstant());
                equal(row.getObject("day", LocalDate.class), day);
                equal(row.getString("doc"), "{\"a\": 1}");
                equal(Arrays.equals(row.getBytes("raw"), new byte[] {0, -1}), true);
                equal(List.of((String[]) row.getArray("tags").getArray()), List.of("x", "y\"z"));
                equal(row.getDouble("ratio"), 0.1);
            }
        });

        step("a statement is prepared on the server and runs in binary", () -> {
            try (PreparedStatement select = connection.prepareStatement("SELECT n, at FROM " + TABLE + " WHERE name = ?")) {
                for (int run = 0; run < 8; run++) { // the fifth run prepares it
                    select.setString(1, "zoë");
                    try (ResultSet rows = select.executeQuery()) {
                        rows.next();
                        equal(rows.getLong(1), 9007199254740993L);
                        equal(rows.getObject(2, OffsetDateTime.class).toInstant(), at.toInstant());
                    }
                }
            }
        });

        step("errors carry their SQLSTATE and the session goes on", () -> {
            Map<String, String> faults = Map.of(
                "INSERT INTO " + TABLE + " (name) VALUES ('zoë')", "23505",
                "SELEC", "42601",
                "SELECT nothing FROM " + TABLE, "42703");
            for (Map.Entry<String, String> fault : faults.entrySet()) {
                try (Statement statement = connection.createStatement()) {
                    statement.execute(fault.getKey());
                    throw new AssertionError("no error from " + fault.getKey());
                } catch (SQLException error) {
                    equal(error.getSQLState(), fault.getValue());
                }
            }
        });

        step("a batch is written, and a failing one is not", () -> {
            connection.setAutoCommit(false);
            try (PreparedStatement insert = connection.prepareStatement("INSERT INTO " + TABLE + " (name) VALUES (?)")) {
                for (int number = 0; number < 300; number++) {
                    insert.setString(1, "batch " + number);
                    insert.addBatch();
                }
                equal(insert.executeBatch().length, 300);
                connection.commit();
                insert.setString(1, "once");
                insert.addBatch();
                insert.setString(1, "zoë");
                insert.addBatch();
                insert.executeBatch();
                throw new AssertionError("no error");
            } catch (BatchUpdateException error) {
                equal(error.getSQLState(), "23505");
                connection.rollback();
            }
            equal(one(connection, "SELECT count(*) FROM " + TABLE), 301L);
            connection.rollback();
            connection.setAutoCommit(true);
        });

        step("a large result comes in pieces", () -> {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(100);
                long sum = 0;
                try (ResultSet rows = statement.executeQuery("SELECT x FROM generate_series(1, 1000) AS g(x)")) {
                    while (rows.next()) {
                        sum += rows.getInt(1);
                    }
                }
                equal(sum, 500500L);
            }
            connection.commit();
            connection.setAutoCommit(true);
        });

        step("a transaction and its savepoint are rolled back", () -> {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.execute("UPDATE " + TABLE + " SET n = 1");
                Savepoint savepoint = connection.setSavepoint();
                statement.execute("DELETE FROM " + TABLE);
                connection.rollback(savepoint);
                equal(one(connection, "SELECT count(*) FROM " + TABLE), 301L);
            }
            connection.rollback();
            connection.setAutoCommit(true);
            equal(one(connection, "SELECT n FROM " + TABLE + " WHERE name = 'zoë'"), 9007199254740993L);
        });

        step("the driver's questions about tables are answered", () -> {
            try (ResultSet columns = connection.getMetaData().getColumns(null, "public", TABLE, "price")) {
                columns.next();
                equal(columns.getString("TYPE_NAME"), "numeric");
                equal(columns.getInt("DECIMAL_DIGITS"), 2);
            }
            try (ResultSet keys = connection.getMetaData().getPrimaryKeys(null, "public", TABLE)) {
                keys.next();
                equal(keys.getString("COLUMN_NAME"), "id");
            }
        });

        step("the server that is asked for is found", () -> {
            try (Connection primary = DriverManager.getConnection(url + "?targetServerType=primary", "lfsql", "")) {
                equal(one(primary, "SELECT pg_is_in_recovery()"), false);
            }
            try (Connection none = DriverManager.getConnection(url + "?targetServerType=secondary", "lfsql", "")) {
                throw new AssertionError("no error");
            } catch (SQLException error) {
                equal(error.getSQLState(), "08001");
            }
        });
    }
}
