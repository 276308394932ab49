// node-postgres: what an application does with it.  Argument: the connection string.  Prints each step's name when it held.
import assert from "node:assert/strict";
import pg from "pg";
import Cursor from "pg-cursor";

const connectionString = process.argv[2];
const table = `node_${process.pid}`;
// Whichever connection of the pool a statement gets, it sees what the others wrote.
const pool = new pg.Pool({ connectionString, max: 4, options: "-c lfsql.causality=proxy" });
const client = await pool.connect();

async function step(name, body) {
  await body();
  console.log(name);
}

try {
  await client.query(
    `CREATE TABLE ${table} (id serial PRIMARY KEY, name text UNIQUE, n bigint, price numeric(10,2), ok boolean,
     at timestamptz, day date, doc jsonb, raw bytea, tags text[], ratio float8)`,
  );

  await step("values of all types come back", async () => {
    const at = new Date("2024-03-31T01:02:03.456Z");
    const values = ["zoë", "9007199254740993", "12.50", true, at, "2024-02-29", { a: [1, null] }, Buffer.from([0, 255]), ["x", 'y"z'], 0.1];
    const { rows } = await client.query(
      `INSERT INTO ${table} (name, n, price, ok, at, day, doc, raw, tags, ratio)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *, day::text AS day_text`,
      values,
    );
    const row = rows[0];
    assert.deepEqual(
      [row.name, row.n, row.price, row.ok, row.at, row.day_text, row.doc, row.raw, row.tags, row.ratio],
      values,
    );
  });

  await step("a named statement runs again", async () => {
    for (let id = 0; id < 3; id++) {
      const { rows } = await client.query({ name: "by-id", text: `SELECT count(*)::int AS c FROM ${table} WHERE id > $1`, values: [id] });
      assert.equal(rows[0].c, id < 1 ? 1 : 0);
    }
  });

  await step("errors carry their SQLSTATE and the session goes on", async () => {
    await assert.rejects(client.query(`INSERT INTO ${table} (name) VALUES ('zoë')`), { code: "23505", constraint: `${table}_name_key` });
    await assert.rejects(client.query("SELEC"), { code: "42601" });
    await assert.rejects(client.query(`SELECT nothing FROM ${table}`), { code: "42703" });
  });

  await step("a transaction is rolled back", async () => {
    await client.query("BEGIN");
    await client.query(`UPDATE ${table} SET n = 0`);
    await client.query("ROLLBACK");
    const { rows } = await client.query(`SELECT n FROM ${table}`);
    assert.equal(rows[0].n, "9007199254740993");
  });

  await step("a cursor reads in pieces", async () => {
    const cursor = client.query(new Cursor("SELECT x FROM generate_series(1, 1000) AS g(x)"));
    let sum = 0;
    for (let rows = await cursor.read(300); rows.length; rows = await cursor.read(300)) {
      sum += rows.reduce((total, row) => total + row.x, 0);
    }
    await cursor.close();
    assert.equal(sum, 500500);
  });

  await step("clients of a pool write at once", async () => {
    const names = Array.from({ length: 20 }, (_, number) => `pooled ${number}`);
    await Promise.all(names.map((name) => pool.query(`INSERT INTO ${table} (name) VALUES ($1)`, [name])));
    const { rows } = await client.query(`SELECT count(*) AS c FROM ${table} WHERE name LIKE 'pooled %'`);
    assert.equal(rows[0].c, "20");
  });
} finally {
  await client.query(`DROP TABLE IF EXISTS ${table}`);
  client.release();
  await pool.end();
}
