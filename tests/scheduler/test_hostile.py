"""Odd input from people who try: a clear refusal with a fix, in their own words, and no event."""

import re
import shlex
import time
from pathlib import Path

import grpc
import pytest

from aimass.v1 import job_pb2, scheduler_pb2
from tests.scheduler.harness import Agent, Scheduler, scheduler, spec
from tests.scheduler.test_api import detail

JOB = "apiVersion: aimass/v1\nkind: TrainJob\ncommand: [x]\n"
MANY = 250_000
INTERNAL = re.compile(r"\b[a-z]+(_[a-z]+)+\b")  # gpu_milli, start_after_ms: nobody wrote that

FLAGS = [
    ("submit --name 'a\nb'", "name (--name): 'a\\nb': letters, digits"),
    ("submit --name ''", "'--name': '' is not a value: give one, or leave it out"),
    ("submit --name ünï", "letters, digits"),
    ("submit -q ''", "is not a value"),
    ("submit -q a/b", "queue (--queue): 'a/b': the name of a queue"),
    ("submit -q a.b", "there is no queue 'a.b'"),
    ("submit --gpus nan", "whole GPUs (0, 1, 2"),
    ("submit --gpus inf", "whole GPUs"),
    ("submit --gpus -1", "whole GPUs"),
    ("submit --gpus 999999999999999999999", "whole GPUs"),
    ("submit --gpu-share 0GiB", "more than nothing"),
    ("submit --gpu-type ''", "is not a value"),
    ("submit --gpus 1 --gpu-type H100 --gpu-type H100", "'H100' is named twice: name each once"),
    ("submit --gpus 1 --gpu-type 'H\n'", "no control characters, such as a line break"),
    ("submit --gpu-type H100", "roles.worker.resources.gpuTypes (--gpu-type): a device model"),
    ("submit --elastic 2-8:100", "STEP at most 6"),
    ("submit --elastic 1-99999", "99999 shards: at most 4096"),
    ("submit --env =v", "is not K=V"),
    ("submit --env 'A\n=v'", "a name without '=' and control characters"),
    ("submit --workdir ''", "is not a value"),
    ("submit -t 0s", "more than nothing: give more, or leave the flag out"),
    ("submit --expected 0s", "more than nothing"),
    ("submit -t 1h --expected 2h", "--time 2h or longer, or --expected 1h or shorter"),
    ("submit --begin 1999-01-01T00:00Z", "has gone by; give a time to come"),
    ("submit --begin +2h --deadline +1h", "deadline (--deadline): it starts too late"),
    ("submit --deadline +1s -t 1h", "deadline (--deadline): the job cannot be over by then"),
    ("submit --after nosuch", "dependsOn (--after): there is no job nosuch"),
    ("submit --after j1 --after j1:any", "--after j1:any takes any end"),
    ("submit --array ''", "indexes as text"),
    ("submit --array 0,0", "each named once"),
    ("submit --array 0-99999", "at most 10000 tasks"),
    ("submit --array 5-1", "indexes as text"),
    ("submit --exclude ,,", "names no node"),
    ("submit --exclude n2,n2", "placement.excludeNodes (--exclude): 'n2' is named twice"),
    ("submit --toleration =", "placement.tolerations (--toleration): '=': KEY or KEY=VALUE"),
    ("submit --topology ''", "is not a value"),
    ("submit --topology rack", "placement.topology.required (--topology): no level 'rack'"),
    ("submit --topology rack --prefer-topology rack", "required says it already"),
    ("submit --idempotency-key 'a\nb'", "--idempotency-key: 'a\\nb': no control characters"),
    ("queue put ''", "is not a value"),
    ("queue put a/b", "letters, digits"),
    ("queue put 'a\nb'", "letters, digits"),
    ("queue put q --parent ''", "is not a value"),
    ("queue put q --parent q", "--parent: there is no queue 'q'"),
    ("queue put q --quota gpu=nan", "gpu is a number"),
    ("queue put q --quota gpu=-1", "gpu is 0 or more"),
    ("queue put q --quota gpu=1,gpu=2", "amounts such as"),
    ("queue put q --limit gpu=1 --quota gpu=2", "--limit gpu: 1 GPU: below the 2 GPUs"),
    ("queue put q --half-life 1h", "--half-life: one for all queues"),
    ("queue show ''", "is not a value"),
    ("reserve put r --nodes n1 --start now --length 0s --users a", "--length: 1 ms to"),
    ("reserve put r --nodes n1 --start now --length 1h", "name users or queues"),
    ("reserve put r --nodes n1 --start now --length 1h --users a,a", "named twice"),
    ("reserve put r --nodes n1 --start now --length 1h --users 'a\nb'", "no control characters"),
    ("reserve put r --nodes n1 --start 1999-01-01T00:00Z --length 1h --users a", "in the past"),
    ("reserve put r --nodes n1 --start now --length 1h --until +2d --users a", "not recurring"),
    ("reserve put r --nodes n1 --length 1h --users a", "Missing option '--start'"),
    ("update j1 --queue ''", "is not a value"),
    ("update j1 --time 0s", "more than nothing"),
    ("update j1 --begin +1h", "startAfter cannot change now, only priority, timeLimit"),
    ("update j1 --gpu-type any --gpu-type H100", "--gpu-type any beside --gpu-type H100"),
    ("update j1 --select a=b --select none", "--select none beside --select a=b"),
    ("ls --state ''", "is not a value"),
    ("ls -u ''", "is not a value"),
    ("plan --node +99999x64xH100", "1 to 10000 nodes"),
]
FILES = [
    ("timeLimit: 0s", "timeLimit is no time; allowed: more, or leave it out"),
    ("startAfter: 1999-01-01T00:00Z", "startAfter 1999-01-01T00:00:00.000Z has gone by"),
    ("deadline: 1999-01-01T00:00Z", "deadline 1999-01-01T00:00:00.000Z has gone by"),
    ("timeLimit: 1h\nexpectedRuntime: 2h", "expectedRuntime 2h is more than timeLimit"),
    ("elastic: {min: 2, max: 8, step: 100}", "step 100 leaves 2 as the only size"),
    ("resources: {gpus: .nan}", ".nan is not a number that can be counted"),
    ("resources: {gpuShare: 0GiB}", "resources.gpuShare: a share of nothing"),
    ("resources: {gpus: 1, gpuTypes: [a, a]}", 'resources.gpuTypes.1: "a" twice'),
    ('resources: {gpus: 1, gpuTypes: ["a\\nb"]}', "has a control character in it"),
    ("placement: {excludeNodes: [n1, n1]}", 'placement.excludeNodes.1: "n1" twice'),
    ('placement: {tolerations: ["=v"]}', "allowed: KEY or KEY=VALUE"),
    ('placement: {nodeSelector: {a: "b\\n"}}', "placement.nodeSelector.a: has a control"),
    ('labels: {"a\\n": b}', "is not allowed"),
    ('array: {range: "0,0"}', "each named once"),
    ("dependsOn: [{job: j1}, {job: j1, condition: any}]", '"j1" twice'),
    ("dependsOn: [{job: nosuch}]", "dependsOn (--after): there is no job nosuch"),
    ("queue: nosuch", "there is no queue 'nosuch'"),
    ("placement: {topology: {required: rack}}", "placement.topology.required (--topology): no"),
]


async def busy(s: Scheduler) -> Agent:
    """The agent of the only node, both of whose GPUs a job holds."""
    agent = Agent(s, "n1")
    await agent.hello()
    await s.submit(spec("first", gpus=2))
    await agent.desired(1)
    return agent


async def test_no_flag_is_refused_without_a_fix_and_none_with_internal_words(
    tmp_path: Path,
) -> None:
    """Each line: nothing is written, and what is said names what the user wrote."""
    async with scheduler(tmp_path) as s:
        agent = await busy(s)
        revision = s.engine.revision
        for line, expected in FLAGS:
            words = shlex.split(line)
            command = ("--", "x") if words[0] in ("submit", "plan") else ()
            code, _, err = await s.massctl(*words, *command)
            assert (code, expected in err) in ((2, 1), (3, 1), (4, 1)), f"{line}: {code} {err}"
            assert "fix: " in err, line
            assert not INTERNAL.search(err), f"{line}: {err}"
        assert s.engine.revision == revision
        await agent.leave()


async def test_no_line_of_a_job_file_is_refused_with_internal_words(tmp_path: Path) -> None:
    async with scheduler(tmp_path / "data") as s:
        agent = await busy(s)
        revision, file = s.engine.revision, tmp_path / "job.yaml"
        for line, expected in FILES:
            file.write_text(f"{JOB}{line}\n")
            code, _, err = await s.massctl("submit", str(file))
            said = err.replace(str(file), "job.yaml")
            assert (code, expected in said) in ((2, 1), (3, 1)), f"{line}: {code} {said}"
            assert "fix: " in said, line
            assert not INTERNAL.search(said), f"{line}: {said}"
        assert s.engine.revision == revision
        await agent.leave()


ONES = {  # what a list of the field may be made of
    "roles": job_pb2.Role(),
    "affinity": job_pb2.LabelRule(),
    "tolerations": "a",
    "exclude_nodes": "a",
    "depends_on": job_pb2.Dependency(),
}


@pytest.mark.parametrize("field", [*ONES, "array", "retry"])
async def test_a_list_without_end_is_refused_before_it_is_read(tmp_path: Path, field: str) -> None:
    """Four megabytes can say very little, very often; to look at each would stop the daemon."""
    bad = spec()
    if field in ONES:
        getattr(bad, field).extend([ONES[field]] * MANY)
    bad.array.indexes.extend(range(MANY if field == "array" else 0))
    bad.retry.rules.extend([job_pb2.RetryRule()] * (MANY if field == "retry" else 0))
    async with scheduler(tmp_path) as s:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(bad)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "of them: at most" in detail(caught.value).what


async def test_a_long_name_in_any_script_is_refused_within_what_the_wire_carries(
    tmp_path: Path,
) -> None:
    async with scheduler(tmp_path) as s:
        for name in ("a" * 100_000, "ü" * 50_000, "漢" * 50_000, "\U0001f600" * 20_000):
            for call in (s.submit(spec(name)), s.submit(spec(queue=name))):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert detail(caught.value).what
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await s.client.Get(scheduler_pb2.GetRequest(job=name))
            assert detail(caught.value).what.startswith("no job")


async def test_no_time_is_kept_that_nobody_could_be_shown(tmp_path: Path) -> None:
    """One request beyond the calendar would break every later listing."""
    async with scheduler(tmp_path) as s:
        agent = await busy(s)
        late = {"start_ms": 2**52, "length_ms": 3_600_000, "nodes": ["n1"], "users": ["a"]}
        calls = {
            "--start": s.client.PutWindow(
                scheduler_pb2.PutWindowRequest(window=scheduler_pb2.Window(name="r", **late))
            ),
            "--deadline": s.client.Cordon(
                scheduler_pb2.CordonRequest(nodes=["n1"], drain=True, deadline_ms=2**60)
            ),
            "--at": s.client.Why(scheduler_pb2.WhyRequest(job="j1", at_ms=2**60)),
        }
        for flag, call in calls.items():
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert flag in detail(caught.value).what
        for words in (("reserve", "ls"), ("nodes", "-o", "json"), ("show", "j1")):
            assert (await s.massctl(*words))[0] == 0
        await agent.leave()


async def test_lengths_of_time_are_named_as_people_write_them(tmp_path: Path) -> None:
    """What no flag and no job file lets through is still told in words."""
    year_ms = 365 * 24 * 3_600_000
    now_ms = time.time_ns() // 1_000_000
    bad = spec(walltime_ms=11 * year_ms, expected_ms=-1, start_after_ms=-5)
    bad.deadline_ms = now_ms * 1000
    bad.preemption.min_runtime_ms = -1
    bad.checkpoint.notice_ms = 2**40
    bad.roles[0].resources.gpu_milli = 1500
    async with scheduler(tmp_path) as s:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await s.submit(bad)
        said = detail(caught.value).what
        assert "timeLimit (--time): 4015 d: 0 to 3650 d" in said
        assert "preemption.minRuntime (--min-runtime): -1 ms: 0 to 3650 d" in said
        assert "startAfter (--begin): a time in the years 1970 to 9999" in said
        assert "roles.worker.resources.gpus (--gpus): 1.5: whole GPUs, or a share" in said
        assert not INTERNAL.search(said), said
