"""Job files about queues, time, placement, lifecycle: what arrives, and what contradicts itself."""

import pytest

from aimass import jobfile, jobmodel, specscreen, units, yamldoc
from aimass.core import spec_problems
from aimass.jobfile import JobFileError
from aimass.v1 import job_pb2
from tests.client.test_jobfile import COMMAND, HEAD, schema_errors

NOW_MS = units.time_ms("2026-11-21T12:00Z", 0)
FULL = """\
apiVersion: aimass/v1
kind: TrainJob
queue: research
preemptible: false
command: [train]
replicas: 4
elastic: {min: 2, max: 8, step: 2, resizeCost: 90s, resizeInterval: 20m}
resources: {gpus: 8, gpuTypesInOrder: [H100, A100]}
placement:
  topology: {required: block, preferred: rack, wait: 10m}
  nodeSelector: {zone: a}
  affinity:
    - {key: net, op: in, values: [ib, roce], weight: 5}
    - {key: old, op: absent}
  tolerations: [gpu, team=nlp]
  exclusiveNode: true
  excludeNodes: [n7]
timeLimit: 7d12h
expectedRuntime: 7h
startAfter: 2026-11-22T01:00Z
deadline: 2026-12-24 08:00:30+02:00
due: 2026-12-23T08:00Z
dependsOn:
  - {job: j3}
  - {job: j4, condition: any}
array: {range: "0-6:2,9", maxParallel: 3}
checkpoint: {signal: SIGUSR1, gracePeriod: 2m}
preemption: {minRuntime: 30m, maxPerDay: 3, delay: 5m, mode: suspend}
retry:
  limit: 3
  backoff: {initial: 10s, factor: 1.5, max: 5m}
  rules:
    - {onExitCodes: [2, 64], action: fail}
    - {onReason: [OUT_OF_MEMORY], action: retry, memoryFactor: 1.5, avoidSameNode: true}
    - {action: retry, countsAgainstLimit: false}
movable: true
allowFuture: true
speeds: {H100: 3.1, A100: 1}
"""


def parse(text: str) -> job_pb2.JobSpec:
    return jobfile.parse(text.encode(), "train.yaml", now_ms=NOW_MS)


def problems(text: str) -> list[yamldoc.Problem]:
    with pytest.raises(JobFileError) as caught:
        parse(text)
    return caught.value.problems


def test_every_field_arrives() -> None:
    spec = parse(FULL)
    assert (spec.queue, spec.not_preemptible) == ("research", True)
    (role,) = spec.roles
    assert role.shards == 4
    assert role.elastic == job_pb2.Elastic(
        min_shards=2, max_shards=8, step=2, cost_ms=90_000, interval_ms=1_200_000
    )
    assert (list(role.gpu_types), role.gpu_types_in_order) == (["H100", "A100"], True)
    assert spec.topology == job_pb2.Topology(required="block", preferred="rack", wait_ms=600_000)
    assert list(spec.affinity) == [
        job_pb2.LabelRule(key="net", op=job_pb2.LABEL_OP_IN, values=["ib", "roce"], weight=5),
        job_pb2.LabelRule(key="old", op=job_pb2.LABEL_OP_ABSENT),
    ]
    assert list(spec.tolerations) == ["gpu", "team=nlp"]
    assert (spec.exclusive_node, list(spec.exclude_nodes)) == (True, ["n7"])
    assert (spec.walltime_ms, spec.expected_ms) == (648_000_000, 25_200_000)
    assert units.time_text(spec.start_after_ms) == "2026-11-22T01:00:00.000Z"
    assert units.time_text(spec.deadline_ms) == "2026-12-24T06:00:30.000Z"
    assert units.time_text(spec.due_ms) == "2026-12-23T08:00:00.000Z"
    assert [(one.job_id, one.condition) for one in spec.depends_on] == [
        ("j3", job_pb2.DEPENDS_ON_SUCCESS),
        ("j4", job_pb2.DEPENDS_ON_ANY),
    ]
    assert (list(spec.array.indexes), spec.array.max_parallel) == ([0, 2, 4, 6, 9], 3)
    assert spec.checkpoint == job_pb2.Checkpoint(signal="SIGUSR1", notice_ms=120_000)
    assert spec.preemption == job_pb2.Preemption(
        mode=job_pb2.PREEMPT_MODE_SUSPEND, min_runtime_ms=1_800_000, max_per_day=3, delay_ms=300_000
    )
    assert (spec.movable, spec.allow_future) == (True, True)
    assert list(spec.speeds) == [
        job_pb2.SpeedOn(gpu_type="H100", speed_micro=3_100_000),
        job_pb2.SpeedOn(gpu_type="A100", speed_micro=1_000_000),
    ]
    moment = "2026-12-24 08:00:30+02:00"  # what YAML libraries may take for more than text
    assert schema_errors(FULL.replace(moment, f'"{moment}"')) == []


def test_speeds_may_name_numbers_of_gpus_and_nodes() -> None:
    text = "speeds: [{gpuType: A100, gpus: 8, nodes: 1, speed: 1.75}, {gpus: 16, speed: 0}]\n"
    spec = parse(COMMAND + text)
    assert list(spec.speeds) == [
        job_pb2.SpeedOn(gpu_type="A100", gpus=8, nodes=1, speed_micro=1_750_000),
        job_pb2.SpeedOn(gpus=16),
    ]
    assert schema_errors(COMMAND + text) == []
    assert dict(specscreen.spec_rows(spec))["speed"] == [
        "1.75 times on A100, 8 GPUs, 1 node",
        "never on any model, 16 GPUs",
    ]


@pytest.mark.parametrize(
    ("speeds", "message", "allowed"),
    [
        ("fast", '"fast" is not allowed', "speeds by GPU type, as {A100: 1.8}"),
        ("{A100: fast}", "the speed of A100 is no number", "a number from 0 (cannot run there)"),
        ("{A100: -1}", "the speed of A100 is -1", "at most six decimals"),
        ("{A100: 1.00000005}", "the speed of A100 is 1.00000005", "at most six decimals"),
        ("{A100: 2000000}", "the speed of A100 is 2000000", "to 1000000"),
        ("{A100: true}", "the speed of A100 is no number", "a number from 0"),
        ("{'': 1}", "a GPU type is no word", "a device model in one line"),
        ("[A100]", "item 1 is no mapping", "a list of {gpuType, gpus, nodes, speed}"),
        ("[{gpuType: A100}]", "item 1 has no speed", "a number from 0"),
        ("[{speed: 1, gpu: A}]", 'item 1 has "gpu"', "gpuType, gpus, nodes, speed"),
        ("[{speed: 1, gpus: -1}]", "gpus of item 1 is not allowed", "0 (any number) to"),
        ("[{speed: 1}, {speed: 2}]", "any model comes twice", "one speed for each GPU type"),
    ],
)
def test_speeds_that_say_nothing_are_refused(speeds: str, message: str, allowed: str) -> None:
    (problem,) = problems(f"{COMMAND}speeds: {speeds}\n")
    assert problem.path == "speeds"
    assert problem.message == message
    assert allowed in problem.allowed


def test_retry_rules_arrive_in_their_order() -> None:
    retry = parse(FULL).retry
    assert (retry.limit, retry.backoff_ms, retry.factor_milli, retry.backoff_max_ms) == (
        *(3, 10_000, 1500),
        300_000,
    )
    fail, memory, free = retry.rules
    assert (fail.action, list(fail.exit_codes)) == (job_pb2.RETRY_ACTION_FAIL, [2, 64])
    assert (list(memory.reasons), memory.memory_factor_milli) == (["OUT_OF_MEMORY"], 1500)
    assert (memory.avoid_node, memory.is_free, free.is_free) == (True, False, True)


def test_what_is_not_said_is_left_to_the_defaults() -> None:
    spec = parse(COMMAND)
    parts = ("preemption", "checkpoint", "topology", "array", "retry")
    assert [part for part in parts if spec.HasField(part)] == []
    assert (spec.queue, spec.not_preemptible, spec.start_after_ms) == ("", False, 0)


def test_a_share_is_given_by_memory_too() -> None:
    role = parse(COMMAND + "resources: {gpuShare: 20GiB, gpuTypes: [A100]}\n").roles[0]
    assert (role.resources.gpu_milli, role.resources.gpu_share_mib) == (0, 20_480)
    assert (list(role.gpu_types), role.gpu_types_in_order) == (["A100"], False)


@pytest.mark.parametrize(
    ("line", "shards"),
    [("elastic: {min: 2, max: 8}", 2), ("elastic: {min: 2, max: 8}\nreplicas: 5", 5)],
)
def test_an_elastic_job_asks_for_its_least_unless_it_says_more(line: str, shards: int) -> None:
    assert parse(COMMAND + line).roles[0].shards == shards


def test_a_role_may_be_elastic() -> None:
    roles = (
        "roles:\n- {name: ps, command: [a]}\n- {name: w, command: [b], elastic: {min: 1, max: 4}}"
    )
    ps, worker = parse(f"{HEAD}{roles}\n").roles
    assert not ps.HasField("elastic")
    assert (worker.shards, worker.elastic.max_shards) == (1, 4)


def test_a_signal_without_a_time_gives_a_minute_to_checkpoint() -> None:
    assert parse(COMMAND + "checkpoint: {signal: SIGUSR2}\n").checkpoint.notice_ms == 60_000


def test_a_long_first_back_off_raises_a_limit_that_nobody_gave() -> None:
    retry = parse(COMMAND + "retry: {limit: 1, backoff: {initial: 1h}}\n").retry
    assert (retry.backoff_ms, retry.backoff_max_ms) == (3_600_000, 3_600_000)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("+2h", "2026-11-21T14:00:00.000Z"),
        ("+1d30m", "2026-11-22T12:30:00.000Z"),
        ("2026-11-22T01:00Z", "2026-11-22T01:00:00.000Z"),
        ("2026-11-22T01:00:00.250+05:30", "2026-11-21T19:30:00.250Z"),
    ],
)
def test_times_are_rfc_3339_or_from_now(text: str, at: str) -> None:
    spec = parse(f"{COMMAND}startAfter: {text}\n")
    assert units.time_text(spec.start_after_ms) == at


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2026-11-22T01:00",
            "2026-11-22",
            "tomorrow",
            "2026-13-01T00:00Z",
            "2h",
            "-2h",
            "+",
            "+2",
        ),
        *("1969-12-31T23:59Z", "9999-12-31T23:59-01:00", "20261122T0100Z", "17"),
        *("+", "+2", "+99999d"),
    ],
)
def test_a_time_without_a_zone_or_out_of_the_calendar_is_refused(text: str) -> None:
    (problem,) = problems(f"{COMMAND}deadline: {text}\n")
    assert "with its zone" in problem.allowed


def test_a_start_time_that_has_just_gone_by_means_now() -> None:
    assert parse(COMMAND + "startAfter: 2026-11-21T11:59:30Z\n").start_after_ms
    (problem,) = problems(COMMAND + "startAfter: 2026-11-21T11:58Z\n")
    assert problem.message == "startAfter 2026-11-21T11:58:00.000Z has gone by"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("elastic: {min: 4, max: 2}", "4:11: elastic.min: … 4 is above elastic.max 2"),
        ("elastic: {min: 2, max: 4}\nreplicas: 5", "replicas: … lies outside elastic 2 to 4"),
        ("elastic: {min: 2, max: 8, step: 4}\nreplicas: 4", "whole steps of 4; allowed: 2, or"),
        ("elastic: {min: 2}", "elastic.max: missing field"),
        ("elastic: {mim: 2, max: 4}", "elastic.mim: unknown field … did you mean min?"),
        ("resources: {gpus: 1, gpuShare: 1GiB}", "resources.gpuShare: given beside gpus"),
        ("resources: {gpuShare: 20}", "resources.gpuShare: 20 is not allowed; … 64GiB"),
        ("resources: {gpus: 1, gpuTypes: [A], gpuTypesInOrder: [B]}", "given beside gpuTypes"),
        ("resources: {gpuTypesInOrder: [B]}", "gpuTypesInOrder: asked for, but no GPU"),
        ("placement: {topology: {required: rack, preferred: rack}}", '"rack" is both required and'),
        ("placement: {topology: {wait: 5m}}", "placement.topology.wait: waits for a preferred"),
        ("placement: {affinity: [{key: a}]}", "affinity.0.op: in without values"),
        ("placement: {affinity: [{key: a, op: exists, values: [b]}]}", "given beside op exists"),
        ("placement: {affinity: [{key: a, op: notin}]}", "did you mean notIn?"),
        ("placement: {affinity: [{key: a, op: absent, weight: 2000}]}", "weight: 2000 is not"),
        (
            "placement: {nodeSelector: {a: b}, affinity: [{key: a, op: notIn, values: [b]}]}",
            "placement.affinity.0: rules out a=b, which nodeSelector asks for",
        ),
        ("placement: {exclusivenode: true}", "did you mean exclusiveNode?"),
        ("placement: {excludeNodes: n1}", "excludeNodes: "),
        ("placement: {tolerations: ['']}", "placement.tolerations.0: "),
        ("preemptible: 'no'", 'preemptible: "no" is not allowed; … false: never stopped'),
        ("queue: a b", "queue: … massctl queue ls"),
        ("timeLimit: 2", "timeLimit: 2 is not allowed; … 12h"),
        ("timeLimit: 4000d", "timeLimit: … at most ten years"),
        ("timeLimit: 1h\nexpectedRuntime: 2h", "expectedRuntime 2h is more than timeLimit; … 1h"),
        ("deadline: 2026-11-21T11:59:59Z", "has gone by; allowed: a time to come, as +2h"),
        ("deadline: +1h\nstartAfter: +2h", "is not after startAfter 2026-11-21T14:00:00.000Z"),
        ("deadline: +1h\ntimeLimit: 2h", "cannot run for 2h (timeLimit) before deadline … 14:00"),
        ("deadline: +3h\nexpectedRuntime: 2h\nstartAfter: +2h", "(expectedRuntime) before"),
        ("dependsOn: [{job: j1, condition: each}]", "each is for the tasks of an array; … array"),
        ("dependsOn: [{job: j1, condition: sucess}]", "did you mean success?"),
        ("dependsOn: [{job: j1}, {job: j1, condition: any}]", 'dependsOn.1.job: "j1" twice'),
        ("dependsOn: [j1]", "dependsOn.0: "),
        ("array: {range: 0-10000}", "array.range: … at most 10000 tasks"),
        ("array: {range: 0-999999999999}", "array.range: … at most 10000 tasks"),
        ("array: {range: 5-2}", "array.range: "),
        ("array: {range: ''}", "array.range: "),
        ("array: {range: 0-3, maxParallel: 0}", "array.maxParallel: 0 is not allowed"),
        ("array: {maxParallel: 2}", "array.range: missing field; … indexes as text"),
        ("checkpoint: {gracePeriod: 1m}", "checkpoint.gracePeriod: … no signal … SIGUSR1"),
        ("checkpoint: {signal: SIGKILL}", "checkpoint.signal: "),
        ("checkpoint: {signal: sigusr1}", "did you mean SIGUSR1?"),
        ("preemption: {mode: shrink}", "preemption.mode: shrink is for jobs that have elastic"),
        ("preemption: {mode: stop}", "preemption.mode: … requeue, suspend, cancel or shrink"),
        ("retry: {limit: 101}", "retry.limit: 101 is not allowed"),
        ("retry: {rules: [{action: retry}]}", "retry can never happen: retry.limit is 0"),
        ("retry: {limit: 1, rules: [{onReason: [OOM], action: fail}]}", "onReason.0: "),
        ("retry: {limit: 1, rules: [{onExitCodes: [256], action: fail}]}", "onExitCodes.0: 256"),
        ("retry: {limit: 1, rules: [{onExitCodes: [1]}]}", "action: missing field; … or hold"),
        ("retry: {backoff: {factor: 0.5}}", "retry.backoff.factor: 0.5 is not allowed"),
        ("retry: {backoff: {factor: 101}}", "retry.backoff.factor: 101 is not allowed"),
        ("retry: {backoff: {initial: 2h, max: 1h}}", "backoff.initial is longer than backoff.max"),
        ("movable: 1", "movable: 1 is not allowed; … true: may be moved"),
        ("elastic: ", "elastic: nothing is not allowed; allowed: a mapping of fields: min, max"),
    ],
)
def test_a_contradiction_names_the_fields_and_what_to_change(lines: str, expected: str) -> None:
    text = "\n".join(problem.text("f") for problem in problems(f"{COMMAND}{lines}\n"))
    for part in expected.split("…"):
        assert part.strip() in text, text


def test_only_one_role_may_be_elastic() -> None:
    role = "- {name: %s, command: [x], elastic: {min: 1, max: 2}}\n"
    (problem,) = problems(f"{HEAD}roles:\n{role % 'a'}{role % 'b'}")
    assert (problem.line, problem.path) == (5, "roles.1.elastic")


def test_the_sum_of_shards_counts_what_an_elastic_role_may_grow_to() -> None:
    roles = "roles:\n- {name: a, shards: 3000, command: [x]}\n"
    roles += "- {name: b, command: [x], elastic: {min: 1, max: 2000}}\n"
    (problem,) = problems(HEAD + roles)
    assert problem.message == "5000 shards in all"


def test_elastic_beside_roles_belongs_into_one_of_them() -> None:
    text = f"{HEAD}roles: [{{name: a, command: [b]}}]\nelastic: {{min: 1, max: 2}}\n"
    assert schema_errors(text)
    assert [problem.path for problem in problems(text)] == ["elastic"]


@pytest.mark.parametrize(
    "line",
    [
        *("queue: 'a b'", "preemptible: 'no'", "timeLimit: 2", "deadline: tomorrow", "array: {}"),
        *("array: {range: a-b}", "elastic: {min: 1}", "retry: {rules: [{action: stop}]}"),
        *("checkpoint: {signal: SIGKILL}", "dependsOn: [j1]", "placement: {affinity: [{op: in}]}"),
    ],
)
def test_the_schema_refuses_it_too(line: str) -> None:
    assert problems(f"{COMMAND}{line}\n")
    assert schema_errors(f"{COMMAND}{line}\n")


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (jobmodel.REASONS, spec_problems.REASONS),
        (jobmodel.RULES_MAX, spec_problems.RULES_MAX),
        (jobmodel.DEPENDENCIES_MAX, spec_problems.DEPENDENCIES_MAX),
        (units.SIGNALS, spec_problems.SIGNALS),
        (units.INDEXES_MAX, spec_problems.ARRAY_TASKS_MAX),
        (units.SPAN_MS_MAX, spec_problems.SPAN_MS_MAX),
        (units.TIME_MS_MAX, spec_problems.TIME_MS_MAX),
        (units.DURATION_MS_MAX, spec_problems.GRACE_MS_MAX),
        (units.AMOUNT_MAX, spec_problems.AMOUNT_MAX),
    ],
)
def test_job_files_and_the_scheduler_have_the_same_limits(here: object, there: object) -> None:
    assert here == there
