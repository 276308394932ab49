"""What follows from the nodes' content hashes at one position of the log.

A majority of the voters that hold data is right, whoever is in it: the primary may be the one that differs, and a
node that trusted it would copy the fault.  Without a majority nobody is judged; that the contents differ is known all
the same.

What SQLite says of a file (a broken page, an index that lacks a row) counts as a part of its content: one node of
whose file it says something is the one that differs.  If it says it of most, it is the schema, not the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

from lfsql.core.ids import NodeId
from lfsql.core.messages import ContentChecked


class Comparison(NamedTuple):
    """Of answers for one position."""

    decided: bool = False
    """A majority of the voters has one content."""
    differing: tuple[NodeId, ...] = ()
    """Who has another one than the majority."""
    undecidable: bool = False
    """No further answer can make a majority: the voters that answered have too many contents."""


def compare(answers: Mapping[NodeId, ContentChecked], voters: Collection[NodeId]) -> Comparison:
    """`voters`: those that hold data.  A learner is judged and does not judge."""
    contents = {node: (answer.content, bool(answer.fault)) for node, answer in answers.items()}
    counts = Counter(content for node, content in contents.items() if node in voters and content[0])
    quorum = len(voters) // 2 + 1
    best, count = max(counts.items(), key=lambda item: item[1], default=((b"", True), 0))
    if count >= quorum:
        return Comparison(True, tuple(sorted(node for node, content in contents.items() if content != best)))
    silent = sum(node not in contents for node in voters)
    return Comparison(undecidable=len(contents) > 1 and count + silent < quorum)
