"""Measurements against PostgreSQL, Pgpool-II and PgBouncer on the same machine: `python -m bench.compare`."""
