"""RoundWork: a job as the Pollux artifact (OSDI 2021) has it progress, round by round.

What it does between two rounds is added up in floats, and an epoch ends on a whole second: every
end is that of the artifact only if the same sums are made in the same order.
"""

from typing import NamedTuple

from aimass.core.speeds import Speeds
from aimass.simulator.perf_pollux import App
from aimass.simulator.work import Setting


class _At(NamedTuple):
    epoch: int
    progress: float


class RoundWork:
    """A job that trains with the batch it asks for, in steps of whole rounds.

    app, batch: what it trains. gpus_max: how many GPUs it can use.
    """

    report_every_ms = 0

    def __init__(self, app: App, batch: int, gpus: int, round_s: int, first_s: int) -> None:
        """gpus: that it asks for. first_s: of its first round, what it works on an attempt."""
        self.app, self.batch, self.gpus_max = app, batch, app.gpus_max(batch)
        self._gpus, self._round_s, self._first_s = gpus, round_s, first_s
        self._at = _At(0, 0.0)
        self._path: list[_At] = []  # at the end of each round, if nobody disturbs it

    def duration_ms(self, on: Setting) -> int:
        """See Work; to be asked when an attempt begins. O(rounds)."""
        app, placement = self.app, on.per_node
        batches = app.split(self.batch, sum(placement))
        (epoch, progress), left_s, elapsed_s = self._at, self._first_s, 0
        end, rate = app.progress_ends[epoch], app.rate(placement, batches, epoch)
        path = self._path = []
        while True:
            if progress + rate * left_s < end:
                progress += rate * left_s
                elapsed_s += left_s
                left_s = 0
            else:
                took_s = round((end - progress) / rate)
                elapsed_s += took_s
                left_s -= took_s
                progress, epoch = end, epoch + 1
                if epoch == app.epochs:
                    return elapsed_s * 1000
                end, rate = app.progress_ends[epoch], app.rate(placement, batches, epoch)
            if not left_s:
                path.append(_At(epoch, progress))
                left_s = self._round_s

    def _then(self, elapsed_ms: int) -> _At:
        """Where it is after so long; elapsed_ms: until the end of a round, or 0."""
        if not elapsed_ms:
            return self._at
        rounds, rest = divmod(elapsed_ms - self._first_s * 1000, self._round_s * 1000)
        assert not rest, "a job of rounds was stopped between two of them"
        return self._path[rounds]

    def epoch_at(self, elapsed_ms: int) -> int:
        """In which epoch it is when its attempt has worked for so long."""
        return self._then(elapsed_ms).epoch

    def advance(self, on: Setting, elapsed_ms: int) -> None:
        """See Work."""
        self._at = self._then(elapsed_ms)

    def left_ms(self) -> int:
        """See Work: on the GPUs that it asks for."""
        return round(1000 * self.app.alone_s(self.batch, self._gpus, *self._at))

    def speeds(self) -> Speeds:
        """See Work: it measures nothing."""
        return ()
