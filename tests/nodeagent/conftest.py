"""Fixtures of the agent's tests: a scripted scheduler, a node, and words for small programs."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.nodeagent.fake_scheduler import FakeScheduler
from tests.nodeagent.node import Node


@pytest.fixture
def scheduler() -> Iterator[FakeScheduler]:
    """Give a listening fake scheduler."""
    fake = FakeScheduler()
    yield fake
    fake.close()


@pytest.fixture
def node(tmp_path: Path, scheduler: FakeScheduler) -> Iterator[Node]:
    """Give a node whose agent is running and will be welcomed."""
    one = Node(tmp_path / "node", scheduler.address)
    one.start()
    yield one
    one.close()


@pytest.fixture
def python() -> Callable[[str], list[str]]:
    """Give a function from Python source to an argv that runs it."""
    return lambda source: [sys.executable, "-I", "-S", "-u", "-c", source]
