// pgx: what an application does with it.  Argument: the connection string.  Prints each step's name when it held.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

var table = fmt.Sprintf("go_%d", os.Getpid())

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(got, wanted any) {
	if !reflect.DeepEqual(got, wanted) {
		panic(fmt.Sprintf("got %#v, wanted %#v", got, wanted))
	}
}

func step(name string, body func()) {
	body()
	fmt.Println(name)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, err := pgxpool.ParseConfig(os.Args[1])
	check(err)
	// Whichever connection of the pool a statement gets, it sees what the others wrote.
	config.ConnConfig.RuntimeParams["lfsql.causality"] = "proxy"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	check(err)
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	check(err)
	defer conn.Release()
	_, err = conn.Exec(ctx, `CREATE TABLE `+table+` (id serial PRIMARY KEY, name text UNIQUE, n bigint,
		price numeric(10,2), ok boolean, at timestamptz, day date, doc jsonb, raw bytea, tags text[], ratio float8)`)
	check(err)
	defer func() { _, err := conn.Exec(ctx, "DROP TABLE "+table); check(err) }()

	step("values of all types come back, in binary", func() {
		at := time.Date(2024, 3, 31, 1, 2, 3, 456789000, time.UTC)
		day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
		var price pgtype.Numeric
		check(price.Scan("12.50"))
		row := conn.QueryRow(ctx, `INSERT INTO `+table+` (name, n, price, ok, at, day, doc, raw, tags, ratio)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			RETURNING name, n, price, ok, at, day, doc, raw, tags, ratio`,
			"zoë", int64(9007199254740993), price, true, at, day, map[string]any{"a": "b"}, []byte{0, 255},
			[]string{"x", `y"z`}, 0.1)
		var name string
		var n int64
		var gotPrice pgtype.Numeric
		var ok bool
		var gotAt, gotDay time.Time
		var doc map[string]any
		var raw []byte
		var tags []string
		var ratio float64
		check(row.Scan(&name, &n, &gotPrice, &ok, &gotAt, &gotDay, &doc, &raw, &tags, &ratio))
		text, err := gotPrice.Value()
		check(err)
		equal([]any{name, n, text, ok, gotAt.UTC(), gotDay, doc, raw, tags, ratio},
			[]any{"zoë", int64(9007199254740993), "12.50", true, at, day, map[string]any{"a": "b"}, []byte{0, 255},
				[]string{"x", `y"z`}, 0.1})
	})

	step("a statement runs again", func() {
		for id := range 3 {
			var count int
			check(conn.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE id > $1", id).Scan(&count))
			equal(count > 0, id < 1)
		}
	})

	step("errors carry their SQLSTATE and the session goes on", func() {
		for text, wanted := range map[string]string{
			"INSERT INTO " + table + " (name) VALUES ('zoë')": "23505",
			"SELEC":                        "42601",
			"SELECT nothing FROM " + table: "42703",
		} {
			_, err := conn.Exec(ctx, text)
			var fault *pgconn.PgError
			if !errors.As(err, &fault) {
				panic(err)
			}
			equal(fault.Code, wanted)
		}
	})

	step("a batch is one trip", func() {
		batch := &pgx.Batch{}
		for number := range 10 {
			batch.Queue("INSERT INTO "+table+" (name) VALUES ($1)", fmt.Sprintf("batch %d", number))
		}
		batch.Queue("SELECT count(*) FROM " + table + " WHERE name LIKE 'batch %'")
		results := conn.SendBatch(ctx, batch)
		for range 10 {
			_, err := results.Exec()
			check(err)
		}
		var count int
		check(results.QueryRow().Scan(&count))
		check(results.Close())
		equal(count, 10)
	})

	step("rows are copied in", func() {
		copied, err := conn.CopyFrom(ctx, pgx.Identifier{table}, []string{"name", "n"},
			pgx.CopyFromSlice(500, func(i int) ([]any, error) { return []any{fmt.Sprintf("copied %d", i), int64(i)}, nil }))
		check(err)
		equal(copied, int64(500))
	})

	step("a transaction and its savepoint are rolled back", func() {
		tx, err := conn.Begin(ctx)
		check(err)
		inner, err := tx.Begin(ctx)
		check(err)
		_, err = inner.Exec(ctx, "DELETE FROM "+table)
		check(err)
		check(inner.Rollback(ctx))
		_, err = tx.Exec(ctx, "UPDATE "+table+" SET n = -1 WHERE name = 'zoë'")
		check(err)
		check(tx.Rollback(ctx))
		var n int64
		check(conn.QueryRow(ctx, "SELECT n FROM "+table+" WHERE name = 'zoë'").Scan(&n))
		equal(n, int64(9007199254740993))
	})

	step("clients of a pool write at once", func() {
		var all sync.WaitGroup
		for number := range 20 {
			all.Add(1)
			go func() {
				defer all.Done()
				_, err := pool.Exec(ctx, "INSERT INTO "+table+" (name) VALUES ($1)", fmt.Sprintf("pooled %d", number))
				check(err)
			}()
		}
		all.Wait()
		var count int
		check(conn.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE name LIKE 'pooled %'").Scan(&count))
		equal(count, 20)
	})
}
