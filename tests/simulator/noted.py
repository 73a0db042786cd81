"""The events that a simulated run applies, as a journal would hold them."""

import sys
from collections.abc import Callable

import pytest

from aimass.core import apply as core
from aimass.core.cluster import Cluster
from aimass.core.events import Event


def events_of(run: Callable[[], object]) -> list[Event]:
    """Run it, and give what any part of the simulator applied to a cluster meanwhile."""
    seen: list[Event] = []

    def noted(cluster: Cluster, event: Event) -> None:
        core.apply(cluster, event)
        seen.append(event)

    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("aimass.simulator.") and hasattr(module, "apply"):
                patch.setattr(module, "apply", noted)
        run()
    return seen
