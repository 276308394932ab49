"""What is remembered of statements is bounded, whatever clients send."""

from __future__ import annotations

from lfsql.storage.known_texts import KNOWN_MAX, TEXT_MAX, KnownTexts


def test_a_long_text_is_looked_at_each_time() -> None:
    known: KnownTexts[int] = KnownTexts()
    longest, longer = "x" * TEXT_MAX, "x" * (TEXT_MAX + 1)
    assert known.remember(longest, 1) == 1
    assert known.remember(longer, 2) == 2
    assert (known.get(longest), known.get(longer)) == (1, None)


def test_a_stream_of_new_texts_takes_no_more_room() -> None:
    known: KnownTexts[int] = KnownTexts()
    for number in range(2 * KNOWN_MAX + 1):
        known.remember(f"SELECT {number}", number)
        assert len(known) <= KNOWN_MAX
    assert known.get(f"SELECT {2 * KNOWN_MAX}") == 2 * KNOWN_MAX
    assert known.get("SELECT 0") is None


def test_nothing_is_left_of_another_schema() -> None:
    known: KnownTexts[int] = KnownTexts()
    known.remember("SELECT 1", 1)
    known.forget()
    assert known.get("SELECT 1") is None
