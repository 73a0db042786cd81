"""The published traces that lie beside a checkout; not part of the project."""

from pathlib import Path

import pytest

TRACES = Path(__file__).parents[3] / "shared" / "traces"


def trace(name: str) -> Path:
    """That file or folder of them; the test is skipped where they are not."""
    path = TRACES / name
    if not path.exists():
        pytest.skip("the shared traces are not on this machine")
    return path
