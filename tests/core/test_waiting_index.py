"""The waiting index sorts jobs into groups late, when somebody asks: nobody can tell."""

from hypothesis import given
from hypothesis import strategies as st

from aimass.core.cluster import WaitingIndex, group_of
from aimass.core.model import Job, JobId
from aimass.core.spec import JobSpec
from tests.core.world import one_role

JOBS = [
    Job(JobId(f"j{seq}"), seq, JobSpec("job", one_role(gpus=seq % 3)), "ann", "", 0)
    for seq in range(1, 9)
]


def contents(index: WaitingIndex) -> dict[object, list[JobId]]:
    """Its groups, in an order of their own."""
    return {key: [job_id for _, job_id in group.jobs] for key, group in index.groups.items()}


@given(st.lists(st.tuples(st.sampled_from(JOBS), st.booleans()), max_size=40))
def test_when_it_is_asked_makes_no_difference(steps: list[tuple[Job, bool]]) -> None:
    """A job goes in, or out when it is in; one index is asked between, the other at the end."""
    asked, quiet = WaitingIndex(), WaitingIndex()
    expected: dict[JobId, Job] = {}
    for job, ask in steps:
        for index in (asked, quiet):
            if job.id in expected:
                index.remove(job)
            else:
                index.add(job)
        if expected.pop(job.id, None) is None:
            expected[job.id] = job
        if ask:
            assert all(asked.group(job_id).key == group_of(expected[job_id]) for job_id in expected)
        assert len(quiet) == len(expected)
        assert all((other.id in quiet) == (other.id in expected) for other in JOBS)
    assert quiet.added_since(0) == asked.added_since(0)
    assert contents(quiet) == contents(asked)
    assert quiet.ids() == asked.ids() == sorted(expected, key=lambda job_id: int(job_id[1:]))
