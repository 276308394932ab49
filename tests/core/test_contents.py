"""Whose content is right: that of a majority of the voters, whoever asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.core.contents import Comparison, compare
from lfsql.core.ids import Position
from lfsql.core.messages import ContentChecked

THREE = ("n1", "n2", "n3")


def answers(**contents: str) -> dict[str, ContentChecked]:
    """A content that ends in '!' comes with a fault; '' could not be read."""
    return {
        node: ContentChecked(Position(7), 1, content.rstrip("!").encode(), "damaged" if content.endswith("!") else "")
        for node, content in contents.items()
    }


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ({}, Comparison()),
        ({"n1": "a"}, Comparison()),
        ({"n1": "a", "n2": "b"}, Comparison()),
        ({"n1": "a", "n2": "a"}, Comparison(True)),
        ({"n1": "a", "n2": "b", "n3": "b"}, Comparison(True, ("n1",))),
        ({"n1": "a", "n2": "", "n3": "a"}, Comparison(True, ("n2",))),
        ({"n1": "a", "n2": "a!", "n3": "a"}, Comparison(True, ("n2",))),
        ({"n1": "a!", "n2": "a!", "n3": "a!"}, Comparison(True)),
        ({"n1": "a", "n2": "b", "n3": "c"}, Comparison(undecidable=True)),
        ({"n1": "a", "n2": "a", "learner": "b"}, Comparison(True, ("learner",))),
        ({"n1": "a", "learner": "a", "other": "a"}, Comparison()),
    ],
)
def test_the_majority_of_the_voters_is_right(contents: dict[str, str], expected: Comparison) -> None:
    assert compare(answers(**contents), THREE) == expected


def test_of_two_that_differ_nobody_is_judged() -> None:
    assert compare(answers(n1="a", n2="b"), ("n1", "n2")) == Comparison(undecidable=True)
    assert compare(answers(n1="a"), ("n1",)) == Comparison(True)


@given(st.dictionaries(st.sampled_from(["n1", "n2", "n3", "n4", "n5", "l1"]), st.sampled_from(["a", "b", "c!", ""])))
def test_no_majority_is_ever_judged_and_the_order_of_answers_is_nothing(contents: dict[str, str]) -> None:
    voters = ("n1", "n2", "n3", "n4", "n5")
    found = compare(answers(**contents), voters)
    right = [node for node in voters if node in contents and node not in found.differing]
    assert len(right) >= 3 or not found.differing
    assert not (found.decided and found.undecidable)
    assert found == compare(answers(**dict(reversed(contents.items()))), voters)
