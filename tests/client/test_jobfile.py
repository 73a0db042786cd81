"""Job files: what is accepted becomes a spec, what is not is named by line, field and remedy."""

import itertools
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from aimass import jobfile, yamldoc
from aimass.jobfile import JobFileError
from aimass.v1 import job_pb2

HEAD = "apiVersion: aimass/v1\nkind: TrainJob\n"
COMMAND = HEAD + "command: [python, train.py]\n"
FULL = """\
apiVersion: aimass/v1
kind: BatchJob
name: llama-ft
priority: -5
labels: {team: nlp}
workdir: sub
env: {LR: "1e-4", ON: yes, EMPTY: ''}
roles:
  - name: ps
    command: [python, ps.py]
  - name: worker
    shards: 4
    command: [python, train.py, "--x", "1"]
    resources:
      gpus: 2
      gpuTypes: [H100-SXM5-80GB, A100]
      gpuMemory: 40GiB
      cpus: 1.5
      memory: 1.5GiB
placement: {strategy: spread, nodeSelector: {zone: a}}
gracePeriod: 1m30s
"""


def parse(text: str | bytes, file: str = "train.yaml") -> job_pb2.JobSpec:
    return jobfile.parse(text.encode() if isinstance(text, str) else text, file)


def problems(text: str | bytes) -> list[yamldoc.Problem]:
    with pytest.raises(JobFileError) as caught:
        parse(text)
    assert caught.value.exit_code == 2
    return caught.value.problems


def test_every_field_arrives_in_integer_units(tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text(FULL)
    spec = jobfile.load(file)
    assert (spec.name, spec.kind, spec.priority) == ("llama-ft", job_pb2.JOB_KIND_BATCH, -5)
    assert spec.workdir == str(tmp_path / "sub")
    assert dict(spec.env) == {"LR": "1e-4", "ON": "yes", "EMPTY": ""}
    assert (dict(spec.labels), dict(spec.node_selector)) == ({"team": "nlp"}, {"zone": "a"})
    assert (spec.strategy, spec.grace_ms) == (job_pb2.STRATEGY_SPREAD, 90_000)
    ps, worker = spec.roles
    assert (ps.name, ps.shards, list(ps.command)) == ("ps", 1, ["python", "ps.py"])
    assert list(worker.command) == ["python", "train.py", "--x", "1"]
    need = worker.resources
    assert (need.gpu_milli, need.cpu_milli, need.memory_mib) == (2000, 1500, 1536)
    assert (list(worker.gpu_types), worker.gpu_memory_mib) == (["H100-SXM5-80GB", "A100"], 40960)


def test_the_short_form_is_one_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = parse(COMMAND + "replicas: 3\nresources: {gpus: 0.25}\n", "runs/my job!.yaml")
    assert [(role.name, role.shards) for role in spec.roles] == [("worker", 3)]
    assert spec.roles[0].resources.gpu_milli == 250
    assert (spec.name, spec.workdir, spec.grace_ms) == ("my-job-", str(tmp_path), 30_000)
    assert parse(COMMAND, "-").name == "python"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("prority: 3", "4:1: prority: unknown field; allowed: apiVersion, kind, … priority?"),
        ("priority: high", '4:11: priority: "high" is not allowed; allowed: a whole number'),
        ("priority: 1.5", "4:11: priority: 1.5 is not allowed; allowed: a whole number"),
        ("priority: true", "4:11: priority: true is not allowed"),
        ("priority: 1000001", "4:11: priority: 1000001 is not allowed"),
        ("priority: 99999999999999999999", "is not a number that can be counted with"),
        ("priority: .nan", "4:11: priority: .nan is not a number"),
        ("priority: -.inf", "4:11: priority: -.inf is not a number"),
        ("priority: 1e999", "4:11: priority: 1e999 is not a number"),
        ("priority: 2020-01-01", '"2020-01-01" is not allowed'),
        ("name: a b", "4:7: name: \"a b\" is not allowed; allowed: letters, digits, '.', '_', '-'"),
        ("env: {LR: 1e-4}", '4:11: env.LR: 1e-4 is not allowed; … did you mean "1e-4"?'),
        ("env: {DEBUG: true}", '4:14: env.DEBUG: true is not allowed; … did you mean "true"?'),
        ("env: {a=b: x}", "env.a=b: "),
        ("labels: [a]", "4:9: labels: a list is not allowed; allowed: texts by name"),
        ("workdir: 3", '4:10: workdir: 3 is not allowed; … did you mean "3"?'),
        ('workdir: "a\\0b"', "control character"),
        ("replicas: 0", "4:11: replicas: 0 is not allowed; … a whole number from 1 to 4096"),
        ("replicas: -1", "4:11: replicas: -1 is not allowed"),
        ("replicas: 4097", "4:11: replicas: 4097 is not allowed"),
        ("gracePeriod: 30", "4:14: gracePeriod: 30 is not allowed; … its unit: 30s"),
        ("gracePeriod: 25h", "a time of at most 24h"),
        ("resources: {gpus: 1.5}", "4:19: resources.gpus: 1.5 is not allowed; … whole GPUs"),
        ("resources: {gpus: -1}", "resources.gpus: -1 is not allowed"),
        ("resources: {gpus: two}", 'resources.gpus: "two" is not allowed'),
        ("resources: {gpus: 0.0001}", "at most three decimals"),
        ("resources: {gpu: 1}", "4:13: resources.gpu: unknown field; … did you mean gpus?"),
        ("resources: {memory: 64}", "resources.memory: 64 is not allowed; … 64GiB"),
        ("resources: {memory: 64 apples}", "resources.memory: "),
        ("resources: {cpus: -0.5}", "resources.cpus: -0.5 is not allowed; … CPU cores"),
        ("resources: {gpuTypes: [H100]}", "resources.gpuTypes: asked for, but no GPU; … gpus: 1"),
        ("resources: {gpus: 1, gpuTypes: H100}", "resources.gpuTypes: "),
        ("resources: []", "4:12: resources: a list is not allowed"),
        ("placement: {strategy: packed}", "placement.strategy: … did you mean pack?"),
        ("roles: [{name: a, command: [b]}]", "3:1: command: given beside roles"),
        ("kind: trainjob", "4:1: kind: given twice, first on line 2"),
        ("<<: {a: b}", "4:1: <<: unknown field"),
        ("labels: &x {}", "4:9: labels: an anchor or alias"),
        ("labels: *x", "4:9: labels: an anchor or alias"),
        ("labels: !!python/object:os.system {}", "4:9: labels: a tag"),
        ("? [a, b]\n: c", "a key that is no plain word"),
        ("--- {}", "a second document"),
    ],
)
def test_a_bad_line_is_named_with_what_is_allowed(line: str, expected: str) -> None:
    text = "\n".join(problem.text("train.yaml") for problem in problems(COMMAND + line + "\n"))
    for part in expected.split("…"):
        assert part.strip() in text, text


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("python train.py", "[python, train.py]"),
        ("python train.py --lr 0.1", '[python, train.py, "--lr", "0.1"]'),
        ("a | b", '[bash, "-c", "a | b"]'),
        ("it's", """[bash, "-c", "it's"]"""),
    ],
)
def test_a_command_line_is_answered_with_the_list_that_was_meant(command: str, meant: str) -> None:
    (problem,) = problems(f'{HEAD}command: "{command}"\n')
    assert problem.allowed.endswith(f"as in {meant}")
    assert list(parse(f"{HEAD}command: {meant}").roles[0].command)


def test_a_field_left_empty_is_an_error_not_a_default() -> None:
    (problem,) = problems(COMMAND + "workdir:\n")
    assert problem.text("f").startswith("f:4:9: workdir: nothing is not allowed; allowed: a path")


@pytest.mark.parametrize("command", ["[]", "[a, 1]", "['']", "{}", "null", '["a\\0"]'])
def test_a_command_is_a_list_of_texts(command: str) -> None:
    assert {problem.path.split(".")[0] for problem in problems(f"{HEAD}command: {command}")} == {
        "command"
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + "command: []", "f:3:10: command: is an empty list; … the program at least"),
        (HEAD + "command: ['', x]", "command: its first item, the program, is empty"),
        (HEAD + 'command: [x, "a\\0"]', "command: item 2 has a NUL character … text without NUL"),
        (HEAD + "command: [x, 3]", "command: item 2 is no text; … put it in quotes"),
        (COMMAND + "env: {a=b: x}", "f:4:7: env.a=b: the name \"a=b\" is … without '='"),
        (COMMAND + 'env: {"": x}', 'env.: the name "" is not allowed; … at least one character'),
        (COMMAND + 'env: {A: "a\\0"}', "env.A: has a NUL character in it"),
        (COMMAND + "resources: 5", "resources: 5 is … a mapping of fields: gpus, gpuTypes"),
        (COMMAND + "resources:\n\tgpus: 1", "f:5:1: a tab, with which … allowed: spaces"),
        ("", "f:1:1: the file is empty; allowed: a mapping of fields: apiVersion"),
        ("# nothing\n", "the file is empty"),
        ("[]", "f:1:1: a list is not allowed; allowed: a mapping"),
    ],
)
def test_a_message_says_what_is_wrong_and_not_only_where(text: str, expected: str) -> None:
    shown = problems(text)[0].text("f")
    for part in expected.split("…"):
        assert part.strip() in shown


def test_all_problems_are_listed_by_line() -> None:
    found = problems("kind: Job\nnam: x\nresources: {gpus: -1}\ncommand: ls\nreplicas: x\n")
    assert [(problem.line, problem.path) for problem in found] == [
        *((1, "apiVersion"), (1, "kind"), (2, "nam"), (3, "resources.gpus")),
        *((4, "command"), (5, "replicas")),
    ]


def test_a_role_needs_a_name_of_its_own_and_a_command() -> None:
    roles = "roles:\n- {name: a, command: [x]}\n- {name: a, command: [x]}\n- {shards: 2}\n"
    found = {(problem.line, problem.path) for problem in problems(HEAD + roles)}
    assert found == {(5, "roles.1.name"), (6, "roles.2.name"), (6, "roles.2.command")}


def test_sums_are_limited_as_well() -> None:
    role = "- {name: %s, shards: 3000, command: [x]}\n"
    (problem,) = problems(f"{HEAD}roles:\n{role % 'a'}{role % 'b'}")
    assert problem.message == "6000 shards in all"
    (problem,) = problems(COMMAND + "env: {A: %s}\n" % ("x" * 300_000))
    assert "at most 262144" in problem.text("f")


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]", "hello", "3", "null", "roles: []"])
def test_what_is_no_mapping_of_a_job_is_refused(text: str) -> None:
    assert problems(text)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: [1,\n", "cannot be read as YAML"),
        (b"a: 'x\n", "cannot be read as YAML"),
        (b"\tkey: 1\n", "f:1:1: a tab"),
        (b"x: y\nz: \x01\n", "f:2:1: cannot be read as YAML"),
        (b"x: y\nz: \xff\n", "f:2:4: byte 0xff is not UTF-8"),
        (b'a: "\\ud800"\n', ""),
        (b"a: " + b"[" * 33, "nested too deep; allowed: at most 32"),
        (b"- " * 100_000, "nested too deep"),
        (b"a: b\n" + b"#" * 2**20, "allowed: at most 1048576"),
        (b"\x00", "cannot be read"),
    ],
)
def test_what_is_no_harmless_yaml_is_refused_before_it_is_built(data: bytes, expected: str) -> None:
    assert expected in problems(data)[0].text("f")


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in itertools.pairwise("abcdefghi")]
    (problem,) = problems("\n".join(lines))
    assert (problem.line, problem.message) == (1, "an anchor or alias (& or *)")


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path, Path("a\0b")):
        with pytest.raises(JobFileError, match="is no job file"):
            jobfile.load(path)


def test_many_problems_are_counted_and_cut_in_print_only() -> None:
    with pytest.raises(JobFileError) as caught:
        parse(COMMAND + "".join(f"x{i}: 1\n" for i in range(100)))
    assert "and 80 more" in str(caught.value)
    assert len(caught.value.as_json()["error"]["problems"]) == 100


VALID = [
    COMMAND,
    FULL,
    COMMAND + "replicas: 2\nresources: {gpus: 0, cpus: 0.5, memory: 512 MiB}\n",
    COMMAND + "placement: {strategy: pack}\nenv: {}\n",
    COMMAND + "gracePeriod: 0s\nresources: {gpus: 1, gpuMemory: 1TB}\n",
]
INVALID = [
    HEAD,
    HEAD + "command: ls\n",
    COMMAND + "roles: [{name: a, command: [b]}]\n",
    COMMAND + "prority: 1\n",
    COMMAND + "resources: {gpus: 1.5}\n",
    COMMAND + "resources: {memory: 64}\n",
    COMMAND + "replicas: 0\n",
    COMMAND + "gracePeriod: ''\n",
    COMMAND + "env: {A: 1}\n",
    COMMAND + "placement: {strategy: packed}\n",
    HEAD + "roles: [{name: a}]\n",
]


def schema_errors(text: str) -> list[Any]:
    schema = jobfile.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return list(jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize("text", VALID)
def test_the_schema_accepts_what_the_parser_accepts(text: str) -> None:
    parse(text)
    assert schema_errors(text.replace("ON: yes", "'ON': 'yes'")) == []


@pytest.mark.parametrize("text", INVALID)
def test_the_schema_refuses_what_the_parser_refuses(text: str) -> None:
    assert problems(text)
    assert schema_errors(text)


def test_every_field_of_the_schema_says_what_is_allowed() -> None:
    schema = jobfile.json_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, field in part["properties"].items():
            assert "$ref" in field or "description" in field, name
