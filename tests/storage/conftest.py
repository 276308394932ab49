"""An engine of its own for each test, alone or with a replica."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfsql.storage.engine import Engine
from tests.storage.pair import Pair


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "data.db")
    yield engine
    engine.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.close()
