"""Settings for one statement, from its `/* lfsql: name=value */` comments.

They say where a read may go, and hold for that statement alone: `read_consistency=strong` before the one SELECT that
needs it costs the session's other reads nothing.  What cannot be meant for one statement is refused, as is a name
that does not exist: a consistency level that is misspelt must not be ignored.
"""

from __future__ import annotations

from typing import Final

from lfsql.errors import FeatureNotSupported
from proxy.settings import SETTINGS, canonical
from proxy.sql.plan import Plan
from proxy.state import ReadPolicy, SessionState

PREFIX: Final = "lfsql."
HINTED: Final = (
    "read_consistency",
    "causality",
    "max_lag_ms",
    "max_lag_entries",
    "when_lagging",
    "route",
    "min_index",
)
"""Settings a comment may give."""


def check_hints(plan: Plan) -> dict[str, str]:
    """The plan's hints as settings.  Raises UndefinedObject, InvalidParameterValue, FeatureNotSupported."""
    if plan.memo.hints is not None:
        return plan.memo.hints
    found: dict[str, str] = {}
    for name, value in plan.hints:
        setting = canonical(name if name.lower().startswith(PREFIX) else PREFIX + name)
        if setting.removeprefix(PREFIX) not in HINTED:
            raise FeatureNotSupported(
                f'parameter "{setting}" cannot be set for one statement', hint=f"A comment takes {', '.join(HINTED)}."
            )
        found[setting] = SETTINGS[setting].check(setting, value)
    plan.memo.hints = found
    return found


def policy_of(state: SessionState, plan: Plan) -> ReadPolicy:
    """Where this statement may be read."""
    policy = ReadPolicy({**state.settings.values, **check_hints(plan)}) if plan.hints else state.policy
    return policy.for_no_data() if plan.reads_nothing else policy
