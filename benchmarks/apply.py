"""Events a second through core.apply, in processor time: lives of jobs on 128 nodes of 8 GPUs.

Jobs of 1 to 8 GPUs come in waves that fill the cluster: submitted, planned (8 starts in one
event), started, exited. A round is one cluster from its first event. Garbage is collected as
Python does by itself; what was prepared beforehand is frozen, since a daemon does not hold it.
`apply_replay` is the same from the journal's bytes: decode, then apply.
"""

import gc
import time
from collections.abc import Sequence

from aimass.core.apply import apply
from aimass.core.cluster import Cluster
from aimass.core.codec import decode_events, encode_events
from aimass.core.events import Event
from benchmarks import jobs
from benchmarks.record import Record, of_rounds

ROUNDS = 5
JOBS = 20_000
KINDS = ("submitted", "planned", "started", "exited")


def run(scale: float) -> list[Record]:
    """`apply` over the mix, `apply_KIND` for each part of it, `apply_replay`; events/s."""
    opening, waves = jobs.opening(), list(jobs.lives(max(10, round(JOBS * scale))))
    count = sum(len(events) for wave in waves for events in wave)
    gc.collect()
    gc.freeze()
    fold = [_fold_s(opening, waves) for _ in range(ROUNDS)]
    blobs = [encode_events(events) for events in (opening, *(e for wave in waves for e in wave))]
    replay = [_replay_s(blobs) for _ in range(ROUNDS)]
    gc.unfreeze()
    records = [
        of_rounds("apply", "events/s", [count / sum(parts) for parts in fold], count * ROUNDS)
    ]
    for i, kind in enumerate(KINDS):
        events = sum(len(wave[i]) for wave in waves)
        rates = [events / parts[i] for parts in fold]
        records.append(of_rounds(f"apply_{kind}", "events/s", rates, events * ROUNDS))
    rates = [count / each for each in replay]
    return [*records, of_rounds("apply_replay", "events/s", rates, count * ROUNDS)]


def _fold_s(opening: Sequence[Event], waves: Sequence[Sequence[Sequence[Event]]]) -> list[float]:
    """Seconds of processor time that each kind of event took."""
    cluster = Cluster()
    for event in opening:
        apply(cluster, event)
    gc.collect()
    spent = [0.0] * len(KINDS)
    for wave in waves:
        for i, events in enumerate(wave):
            began = time.process_time()
            for event in events:
                apply(cluster, event)
            spent[i] += time.process_time() - began
    return spent


def _replay_s(blobs: Sequence[bytes]) -> float:
    cluster = Cluster()
    gc.collect()
    began = time.process_time()
    for blob in blobs:
        for event in decode_events(blob):
            apply(cluster, event)
    return time.process_time() - began
