"""The one line of a listing that says why a job waits."""

from aimass.core.events import LevelsPut
from aimass.core.spec import Topology
from aimass.scheduler.lookup import reason_of
from tests.core.world import World, gpus, inventory, one_role

MINUTE_MS = 60_000


def test_a_listing_counts_the_wait_for_locality_from_the_time_it_is() -> None:
    """Not from that of the newest event, which may be long ago."""
    world = World()
    world.do(LevelsPut, levels=("rack",))
    for name, rack in (("n1", "r1"), ("n2", "r2")):
        world.join(name, inventory(name, gpus(name, 1), labels={"rack": rack}))
    topology = Topology(preferred="rack", wait_ms=10 * MINUTE_MS)
    job = world.submit(one_role(2, gpus=1), topology=topology)
    waits = {wait.group: wait for wait in world.plan().waits}

    def line(later_ms: int) -> str:
        return reason_of(world.cluster, job, waits, world.now_ms + later_ms)

    assert line(0) == "LOCALITY_WAIT: waits for room within one rack, takes any in 10 min"
    assert line(7 * MINUTE_MS).endswith("takes any in 3 min")
    assert not line(11 * MINUTE_MS).startswith("LOCALITY_WAIT")
