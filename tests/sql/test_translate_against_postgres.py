"""The recording the translation tests compare with is what PostgreSQL 15 answers."""

from __future__ import annotations

from tests.sql.recording import record, recorded


def test_the_recording_is_what_postgres_answers(postgres_dsn: str) -> None:
    live = record(postgres_dsn)
    for part, answers in live.items():
        assert recorded()[part] == answers
