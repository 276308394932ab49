"""Transfers between accounts: every read that is said to be consistent sees the same sum.

A transfer that is applied by half, twice, or read in its middle changes the sum; so does a copy that is patched
together from two moments (read skew).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lfsql.testing.checkers import Anomaly


@dataclass(frozen=True)
class Balances:
    """One read of all accounts.  `source` says whose it was, for the explanation."""

    source: str
    accounts: Mapping[str, int]


def check_bank(reads: Iterable[Balances], opening: Mapping[str, int]) -> tuple[Anomaly, ...]:
    """What is wrong with reads of accounts that began as `opening` and between which money was only moved.

    Kinds: sum, accounts (one is missing or new), overdrawn (below nothing, which the transfers are to refuse).
    """
    total = sum(opening.values())
    anomalies = []
    for read in reads:
        if read.accounts.keys() != opening.keys():
            differing = sorted(read.accounts.keys() ^ opening.keys())
            anomalies.append(Anomaly("accounts", f"{read.source} came or went: {', '.join(differing)}"))
            continue
        found = sum(read.accounts.values())
        if found != total:
            anomalies.append(Anomaly("sum", f"{read.source} sees {found} instead of {total}: {dict(read.accounts)}"))
        overdrawn = {account: balance for account, balance in read.accounts.items() if balance < 0}
        if overdrawn:
            anomalies.append(Anomaly("overdrawn", f"{read.source} sees {overdrawn}"))
    return tuple(anomalies)
