"""Images: which nodes have a job's image and data already, and which must pull them first."""

from collections.abc import Sequence

from aimass.core.model import NodeId, Placement
from aimass.simulator.tracejob import TraceJob

IMAGES_KEPT = 20  # on a node; the one not used for longest goes (an assumption)


class Images:
    """What lies on the nodes. Jobs of one app, or where none is named of one user, share theirs."""

    def __init__(self) -> None:
        self._kept: dict[NodeId, dict[tuple[str, str], None]] = {}

    def are_there(self, job: TraceJob, places: Sequence[Placement]) -> bool:
        """True when all nodes have them; they do from now on. O(shards)."""
        image, found = ("app", job.app) if job.app else ("user", job.user), True
        for place in places:
            kept = self._kept.setdefault(place.node_id, {})
            if image in kept:
                del kept[image]
            else:
                found = False
            kept[image] = None
            if len(kept) > IMAGES_KEPT:
                del kept[next(iter(kept))]
        return found
