"""Plans by exact text, then by shape.

A hit by exact text is one dictionary lookup.  Otherwise the text is taken apart into shape and literals
(`proxy.sql.fingerprint`); for a shape seen before, `proxy.sql.lifting` has decided which literals are variables, and
the plan is found by the shape and the literals that are not.  Only a new shape costs sqlglot and the translator.

Bounded in number and in characters.  Old entries leave by halves: when the young half is full it becomes the old
one, and what is used again moves back.  That is nearly least-recently-used at no cost for a hit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lfsql.errors import LfsqlError
from proxy.pg.oids import INT4, INT8, UNKNOWN
from proxy.pg.types import DEFAULTS, EncodeSettings, Value, decode_text
from proxy.sql.fingerprint import CHARACTERS_MAX, Fingerprint, Literal, fingerprint
from proxy.sql.lexer import Dialect, tokens
from proxy.sql.lifting import highest_parameter, liftable, literal_places
from proxy.sql.plan import Plan
from proxy.sql.planner import plan, plan_tokens
from proxy.sql.schema import Schema

SCHEMAS_MAX: Final = 4
"""Schemas whose plans are kept at once: the committed one, its predecessor, and transactions with their own DDL."""

_Key = object


@dataclass(frozen=True, slots=True)
class _Shape:
    """Ordinals of the literals that are variables, and of those that are part of the plan's key."""

    lifted: tuple[int, ...]
    fixed: tuple[int, ...]


@dataclass(slots=True)
class _Half:
    plans: dict[_Key, Plan] = field(default_factory=dict)
    shapes: dict[_Key, _Shape] = field(default_factory=dict)
    characters: int = 0


@dataclass(slots=True)
class _Generation:
    """The plans made for one Schema object in one dialect."""

    schema: Schema
    dialect: Dialect
    young: _Half = field(default_factory=_Half)
    old: _Half = field(default_factory=_Half)


class PlanCache:
    """Bounded; one per proxy worker.  Plans are kept per Schema *object*, so a session that sees its own
    uncommitted DDL simply passes the Schema it loaded, and never disturbs the others."""

    def __init__(self, plans_max: int = 4096, characters_max: int = 16 * 1024 * 1024) -> None:
        self._half_plans = max(plans_max // 2, 1)
        self._half_characters = max(characters_max // 2, 1)
        self._generations: list[_Generation] = []
        self._current: _Generation | None = None

    def __len__(self) -> int:
        return sum(len(g.young.plans) + len(g.old.plans) for g in self._generations)

    @property
    def characters(self) -> int:
        """How much text the plans hold, roughly their memory."""
        return sum(g.young.characters + g.old.characters for g in self._generations)

    def plan(
        self,
        text: str,
        schema: Schema,
        *,
        dialect: Dialect = "postgresql",
        parameter_oids: tuple[int, ...] = (),
        lift: bool = True,
        settings: EncodeSettings = DEFAULTS,
    ) -> tuple[Plan, tuple[Value, ...]]:
        """The plan and the values of its lifted literals, to be bound after the client's parameters.

        Plans it when it is not there; errors are those of `planner.plan`, and of a literal that its type does not
        take (22P02, 22007, 22003); they are not cached.  `lift` False: keep literals in the text (a statement that is
        parsed once and executed often).  `settings`: DateStyle and time zone, for literals of those types.
        """
        generation = self._current
        if generation is None or generation.schema is not schema or generation.dialect != dialect:
            generation = self._generation(schema, dialect)
        key: _Key = (text, parameter_oids) if parameter_oids else text
        found = generation.young.plans.get(key)
        if found is not None:
            return found, ()
        found = self._from_old(generation, key)
        if found is not None:
            return found, ()
        if lift and dialect == "postgresql":
            taken = fingerprint(text)
            if taken is not None and taken.literals:
                return self._by_shape(generation, text, taken, parameter_oids, settings)
        found = plan(text, schema, dialect=dialect, parameter_oids=parameter_oids)
        self._keep(generation, key, text, found)
        return found, ()

    # -- By shape

    def _by_shape(
        self,
        generation: _Generation,
        text: str,
        taken: Fingerprint,
        parameter_oids: tuple[int, ...],
        settings: EncodeSettings,
    ) -> tuple[Plan, tuple[Value, ...]]:
        shape_key: _Key = (taken.shape, parameter_oids, None)
        shape = generation.young.shapes.get(shape_key) or generation.old.shapes.get(shape_key)
        literals = taken.literals
        made: Plan | None = None
        if shape is None:
            shape, made = _decide(text, generation.schema, taken, parameter_oids)
            generation.young.shapes[shape_key] = shape
            generation.young.characters += len(taken.shape)
        if not shape.lifted:
            key: _Key = (text, parameter_oids) if parameter_oids else text
            whole = made or plan(text, generation.schema, parameter_oids=parameter_oids)
            self._keep(generation, key, text, whole)
            return whole, ()
        key = (taken.shape, parameter_oids, tuple([literals[at].text for at in shape.fixed]))
        found = generation.young.plans.get(key)
        if found is None:
            found = self._from_old(generation, key)
        if found is None:
            found = made or _plan_lifted(text, generation.schema, shape, literals, parameter_oids)
            self._keep(generation, key, text, found)
        return found, tuple(
            [_value(literals[at], oid, settings) for at, oid in zip(shape.lifted, found.lifted, strict=True)]
        )

    # -- What is kept

    def _generation(self, schema: Schema, dialect: Dialect) -> _Generation:
        for generation in self._generations:
            if generation.schema is schema and generation.dialect == dialect:
                break
        else:
            generation = _Generation(schema, dialect)
        # Most recently used first.
        others = [other for other in self._generations if other is not generation]
        self._generations = [generation, *others[: SCHEMAS_MAX - 1]]
        self._current = generation
        return generation

    def _from_old(self, generation: _Generation, key: _Key) -> Plan | None:
        found = generation.old.plans.pop(key, None)
        if found is not None:
            size = _characters(found)
            generation.old.characters -= size
            self._add(generation, key, found, size)
        return found

    def _keep(self, generation: _Generation, key: _Key, text: str, made: Plan) -> None:
        if len(text) > CHARACTERS_MAX:
            return  # bulk work, hardly sent twice
        self._add(generation, key, made, _characters(made))

    def _add(self, generation: _Generation, key: _Key, made: Plan, size: int) -> None:
        young = generation.young
        young.plans[key] = made
        young.characters += size
        if len(self) > self._half_plans or self.characters > self._half_characters:
            # Others' plans go first: their schemas are the past, or one transaction's.
            self._generations = [generation]
        if (
            len(young.plans) >= self._half_plans
            or len(young.shapes) >= self._half_plans
            or young.characters >= self._half_characters
        ):
            generation.old, generation.young = young, _Half()


def _characters(made: Plan) -> int:
    return 200 + sum(len(sql) for sql in made.statements)


def _decide(text: str, schema: Schema, taken: Fingerprint, parameter_oids: tuple[int, ...]) -> tuple[_Shape, Plan]:
    """What to lift of a new shape, and its plan.  A lifted plan must promise the client what the whole one does."""
    whole = plan(text, schema, parameter_oids=parameter_oids)
    everything = tuple(range(len(taken.literals)))
    unlifted = _Shape((), everything)
    found = tokens(text)
    values = [found[place].value for place in literal_places(found)]
    if values != [literal.text for literal in taken.literals] or len(parameter_oids) > highest_parameter(found):
        return unlifted, whole
    lifted = liftable(found, schema)
    if not lifted:
        return unlifted, whole
    shape = _Shape(lifted, tuple(at for at in everything if at not in lifted))
    try:
        made = _plan_lifted(text, schema, shape, taken.literals, parameter_oids)
    except LfsqlError:
        return unlifted, whole
    if _promise(made) != _promise(whole):
        return unlifted, whole
    return shape, made


def _promise(made: Plan) -> tuple[object, ...]:
    """What a client can see of a plan."""
    return made.kind, made.tag, made.columns, made.parameters, made.returns_rows, made.session_calls


def _plan_lifted(
    text: str, schema: Schema, shape: _Shape, literals: tuple[Literal, ...], parameter_oids: tuple[int, ...]
) -> Plan:
    found = tokens(text)
    places = literal_places(found)
    return plan_tokens(
        text,
        found,
        schema,
        parameter_oids,
        {places[at] for at in shape.lifted},
        tuple(literals[at].oid for at in shape.lifted),
        highest_parameter(found) + 1,
    )


def _value(literal: Literal, oid: int, settings: EncodeSettings) -> Value:
    if oid in (INT4, INT8) and literal.oid != UNKNOWN:
        return int(literal.text)
    return decode_text(oid, literal.text, settings)
