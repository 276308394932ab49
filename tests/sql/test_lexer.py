"""The lexer against PostgreSQL's rules, its error words and positions, and noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import StatementSyntax
from proxy.sql.lexer import Source, Token, clip, grammar_text, hints, split, sqlite_tokens, tokens


def pairs(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.value) for token in tokens(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SELECT Foo", [("word", "select"), ("word", "foo")]),
        ('"Foo""x"', [("quoted", 'Foo"x')]),
        ("'it''s'", [("string", "it's")]),
        ("E'a\\'b\\n\\x41\\u00e9\\101'", [("string", "a'b\nAéA")]),
        ("e'it''s'", [("string", "it's")]),
        ("E'\\xc3\\xa9'", [("string", "é")]),
        ("E'\\ud83d\\ude00'", [("string", "\U0001f600")]),
        ("'a'\n  'b'", [("string", "ab")]),
        ("'a' -- c\n 'b'", [("string", "ab")]),
        ("'a' 'b'", [("string", "a"), ("string", "b")]),
        ("U&'d\\0061t\\+000061\\\\'", [("string", "data\\")]),
        ('U&"d\\0061t"', [("quoted", "dat")]),
        ("N'x'", [("string", "x")]),
        ("B'01' x'ff'", [("bits", "B'01'"), ("bits", "x'ff'")]),
        ("$$it's$$", [("string", "it's")]),
        ("$tag$ $$ $tag$", [("string", " $$ ")]),
        ("$1,$2", [("parameter", "$1"), ("punctuation", ","), ("parameter", "$2")]),
        ("a$1", [("word", "a$1")]),
        ("1 1.5 .5 1. 1e10 1.5E-3", [("number", each) for each in ("1", "1.5", ".5", "1.", "1e10", "1.5E-3")]),
        ("a[1:2]", [("word", "a"), ("punctuation", "["), ("number", "1"), ("punctuation", ":"), *pairs("2]")]),
        ("x::int", [("word", "x"), ("punctuation", "::"), ("word", "int")]),
        ("a=-1", [("word", "a"), ("operator", "="), ("operator", "-"), ("number", "1")]),
        ("a @-1", [("word", "a"), ("operator", "@-"), ("number", "1")]),
        ("a<>b!=c", [("word", "a"), ("operator", "<>"), ("word", "b"), ("operator", "<>"), ("word", "c")]),
        ("a--b\n+/*c/*d*/e*/f", [("word", "a"), ("operator", "+"), ("word", "f")]),
        ("a->>'k' #>> b @> c", [("word", "a"), ("operator", "->>"), ("string", "k"), *pairs("#>> b @> c")]),
        ("été", [("word", "été")]),
    ],
)
def test_tokens(text: str, found: list[tuple[str, str]]) -> None:
    assert pairs(text) == found


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("select 'abc", 'unterminated quoted string at or near "\'abc"', 8),
        ("select 'abc''", "unterminated quoted string at or near \"'abc''\"", 8),
        ("select E'a\\'", "unterminated quoted string at or near \"E'a\\'\"", 8),
        ('select "abc', 'unterminated quoted identifier at or near ""abc"', 8),
        ('select ""', 'zero-length delimited identifier at or near """"', 8),
        ("select $a$ b", 'unterminated dollar-quoted string at or near "$a$ b"', 8),
        ("/* /* */", 'unterminated /* comment at or near "/* /* */"', 1),
        ("select b'01", 'unterminated bit string literal at or near "b\'01"', 8),
        ("select 12ab", 'trailing junk after numeric literal at or near "12ab"', 8),
        ("select \\", 'syntax error at or near "\\"', 8),
        ("select E'\\u0000'", 'invalid Unicode escape value at or near "\\u0000"', 8),
        ("select U&'\\00'", "invalid Unicode escape at or near \"U&'\\00'\"", 8),
        ("select E'\\xff'", "invalid byte sequence for encoding UTF8 at or near \"E'\\xff'\"", 8),
    ],
)
def test_what_is_no_token(text: str, message: str, position: int) -> None:
    with pytest.raises(StatementSyntax) as raised:
        tokens(text)
    assert (raised.value.message, raised.value.position) == (message, position)


def _attempt(text: str) -> tuple[list[Token], int]:
    """The tokens, or where the error is."""
    try:
        return tokens(text), 0
    except StatementSyntax as error:
        return [], error.position


@given(st.text(alphabet="aE$'\"\\-/*;(1. \n:", max_size=24))
def test_every_text_gives_tokens_or_a_syntax_error(text: str) -> None:
    found, position = _attempt(text)
    assert 0 <= position <= len(text) + 1
    ends = 0
    for token in found:
        assert token.start >= ends
        assert text.startswith(token.text, token.start)
        ends = token.end


@given(st.text(max_size=40))
def test_sqlite_tokens_never_fail(text: str) -> None:
    assert all(text[token.start : token.end] == token.text for token in sqlite_tokens(text))


def test_identifiers_are_cut_at_63_bytes() -> None:
    assert clip("é" * 40) == "é" * 31
    assert tokens("a" * 70)[0].value == "a" * 63


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" ; ;; ", []),
        ("-- nothing\n", []),
        ("/* nothing */ ;", []),
        ("select 1", [Source("select 1", 0)]),
        ("select 1;", [Source("select 1", 0)]),
        ("select ';';", [Source("select ';'", 0)]),
        ("select 1; select 2", [Source("select 1", 0), Source("select 2", 10)]),
        ("select 1;;\n-- x;\nselect 2;", [Source("select 1", 0), Source("select 2", 17)]),
        ("create rule r do (a; b); x", [Source("create rule r do (a; b)", 0), Source("x", 25)]),
        ("select $$;$$; b", [Source("select $$;$$", 0), Source("b", 14)]),
    ],
)
def test_split(text: str, found: list[Source]) -> None:
    assert split(text) == found


def test_split_keeps_sqlites_triggers_whole() -> None:
    trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; UPDATE b SET x = CASE WHEN 1 THEN 2 END; END"
    assert [source.text for source in split(f"{trigger}; SELECT 2;", "sqlite")] == [trigger, "SELECT 2"]
    assert [source.text for source in split("SELECT [a;b], `c;d`; SELECT x'00'", "sqlite")] == [
        "SELECT [a;b], `c;d`",
        "SELECT x'00'",
    ]


def test_hints() -> None:
    text = "/* lfsql: read_consistency=strong, max_lag_ms = 50 */ SELECT '/* lfsql: a=b */' -- /* lfsql: c=d */\n"
    assert hints(text) == (("read_consistency", "strong"), ("max_lag_ms", "50"))
    assert hints("/*LFSQL: Route=n1*/ select 1") == (("route", "n1"),)
    assert hints("select 1 /*lfsql:lfsql.Route='any node';*/") == (("route", "any node"),)
    assert hints("select $$ /* lfsql: a=b */ $$ /* other */") == ()
    with pytest.raises(StatementSyntax, match="unreadable lfsql hint"):
        hints("/* lfsql: strong */ select 1")


def test_grammar_text_is_free_of_what_sqlglot_misreads() -> None:
    source = (
        "select E'a\\'b', $tag$q$tag$ , U&\"d\\0061\" /* c */ ,$1,$2::int from t where a OPERATOR(pg_catalog.~) 'x'"
    )
    found = tokens(source)
    text = grammar_text(found)
    assert text.text == "select 'a''b', 'q' , \"da\" ,$1 ,$2 ::int from t where a ~ 'x'"
    for start, origin in zip(text.starts, text.origins, strict=True):
        assert any(token.start == origin for token in found)
        assert text.origin(start) == origin
    lifted = grammar_text(tokens("a = 'x' and b = 5"), {2, 6}, 3)
    assert lifted.text.split() == ["a", "=", "$3", "and", "b", "=", "$4"]
    assert grammar_text(tokens('a collate pg_catalog."default" = b')).text.split() == ["a", "=", "b"]
    assert grammar_text(tokens('a collate "C"')).text.split() == ["a", "collate", '"C"']


def test_a_token_knows_its_end() -> None:
    assert Token("word", "abc", "abc", 4).end == 7
