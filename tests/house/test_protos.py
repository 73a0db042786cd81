"""The generated code says what the .proto files say, and the wire never changes its meaning.

api_baseline.json lists every field, enum value and call that was ever published. To extend it after
adding one: `pytest tests/house/test_protos.py --accept`. That only adds. To take a field away, say
`reserved NUMBER;` and `reserved "name";` in the message; its entry then stays there for ever.
"""

import importlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc

from tests.house.tree import LAYERS, ROOT

BASELINE = Path(__file__).with_name("api_baseline.json")
PROTOS = sorted(LAYERS["v1"].glob("*.proto"))
RENEW = "the generated code is old: run `make protos`"

Surface = dict[str, str]  # what can be called or sent -> what it means there


def compiled(root: Path, names: list[str], out: Path) -> dict[str, FileDescriptorProto]:
    """Compile .proto files below `root` and give each one's descriptor by its import path."""
    assert protoc.main(["protoc", f"-I{root}", f"--descriptor_set_out={out}", *names]) == 0
    return {file.name: plain(file) for file in FileDescriptorSet.FromString(out.read_bytes()).file}


def plain(file: FileDescriptorProto) -> FileDescriptorProto:
    """Take out what differs between generators and means nothing on the wire."""
    file.ClearField("source_code_info")
    for _, message in messages_of(file.package, file.message_type):
        for field in message.field:
            field.ClearField("json_name")
    return file


def messages_of(
    scope: str, messages: Iterable[DescriptorProto]
) -> Iterator[tuple[str, DescriptorProto]]:
    """Walk messages and the ones nested in them, with their full names."""
    for message in messages:
        name = f"{scope}.{message.name}"
        yield name, message
        yield from messages_of(name, message.nested_type)


def enums_of(file: FileDescriptorProto) -> Iterator[tuple[str, EnumDescriptorProto]]:
    """Walk all enums of a file, with their full names."""
    for enum in file.enum_type:
        yield f"{file.package}.{enum.name}", enum
    for scope, message in messages_of(file.package, file.message_type):
        for enum in message.enum_type:
            yield f"{scope}.{enum.name}", enum


def meaning(field: FieldDescriptorProto) -> str:
    """Say what a field is on the wire, for people: `devices: repeated .aimass.v1.Device`."""
    label = "repeated " if field.label == FieldDescriptorProto.LABEL_REPEATED else ""
    kind = field.type_name or FieldDescriptorProto.Type.Name(field.type)
    return f"{field.name}: {label}{kind.removeprefix('TYPE_').removeprefix('.')}"


def surface_of(file: FileDescriptorProto) -> Surface:
    """List everything of one file that another program may already depend on."""
    found: Surface = {}
    for scope, message in messages_of(file.package, file.message_type):
        found |= {f"{scope}#{field.number}": meaning(field) for field in message.field}
    for scope, enum in enums_of(file):
        found |= {f"{scope}={value.number}": value.name for value in enum.value}
    for service in file.service:
        for call in service.method:
            sent = "stream " * call.client_streaming + call.input_type.lstrip(".")
            got = "stream " * call.server_streaming + call.output_type.lstrip(".")
            found[f"{file.package}.{service.name}/{call.name}"] = f"{sent} -> {got}"
    return found


def reserved_in(file: FileDescriptorProto) -> set[str]:
    """List the field numbers that were taken out in the way that keeps them from coming back."""
    return {
        f"{scope}#{number}"
        for scope, message in messages_of(file.package, file.message_type)
        for taken in message.reserved_range
        for number in range(taken.start, taken.end)
    }


def broken(baseline: Surface, now: Surface, reserved: set[str]) -> list[str]:
    """List the promises of the baseline that are not kept."""
    return [
        f"{key} was {promised!r}, is {now.get(key, 'gone, and not reserved')!r}"
        for key, promised in baseline.items()
        if now.get(key) != promised and not (key in reserved and key not in now)
    ]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileDescriptorProto]:
    """Compile the .proto files as they are now."""
    root = ROOT / "protos"
    names = [path.relative_to(root).as_posix() for path in PROTOS]
    return compiled(root, names, tmp_path_factory.mktemp("protos") / "set.bin")


def generated(path: Path, ending: str) -> ModuleType:
    """Import what was generated from one .proto file."""
    return importlib.import_module(f"aimass.v1.{path.stem}{ending}")


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.name)
def test_generated_code_is_fresh(path: Path, sources: dict[str, FileDescriptorProto]) -> None:
    """Compared by meaning, so that another version of the generator is no difference."""
    source = sources[f"aimass/v1/{path.name}"]
    checked_in = FileDescriptorProto()
    generated(path, "_pb2").DESCRIPTOR.CopyToProto(checked_in)
    assert plain(checked_in) == source, RENEW

    stubs = path.with_name(f"{path.stem}_pb2.pyi").read_text()
    names = {field.name for _, m in messages_of("", source.message_type) for field in m.field}
    names |= {m.name for m in source.message_type} | {e.name for e in source.enum_type}
    assert {name for name in names if name not in stubs} == set(), RENEW


@pytest.mark.parametrize("path", PROTOS, ids=lambda path: path.name)
def test_every_service_has_its_calls(path: Path, sources: dict[str, FileDescriptorProto]) -> None:
    """A file with a service has _grpc code with just its calls; one without has none."""
    source = sources[f"aimass/v1/{path.name}"]
    assert path.with_name(f"{path.stem}_pb2_grpc.py").exists() == bool(source.service), RENEW
    for service in source.service:
        servicer = getattr(generated(path, "_pb2_grpc"), f"{service.name}Servicer")
        calls = {name for name in vars(servicer) if not name.startswith("_")}
        assert calls == {call.name for call in service.method}, RENEW


def test_no_promise_of_the_wire_is_broken(
    sources: dict[str, FileDescriptorProto], request: pytest.FixtureRequest
) -> None:
    """Numbers are neither reused nor dropped, types stay: old clients and agents understand."""
    now: Surface = {}
    reserved: set[str] = set()
    for file in sources.values():
        now |= surface_of(file)
        reserved |= reserved_in(file)
    baseline: Surface = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    assert broken(baseline, now, reserved) == []
    if request.config.getoption("--accept"):
        whole = dict(sorted((baseline | now).items()))
        BASELINE.write_text(json.dumps(whole, indent=1) + "\n")
        return
    new = sorted(now.keys() - baseline.keys())
    assert new == [], f"add them: pytest {Path(__file__).relative_to(ROOT)} --accept"


def test_the_baseline_check_sees_reuse_removal_and_reservation(tmp_path: Path) -> None:
    """The checker itself, on a small message and four later versions of it."""

    def surface(body: str) -> tuple[Surface, set[str]]:
        text = f'syntax = "proto3"; package p; message M {{ {body} }}'
        (tmp_path / "m.proto").write_text(text)
        file = compiled(tmp_path, ["m.proto"], tmp_path / "out.bin")["m.proto"]
        return surface_of(file), reserved_in(file)

    before, _ = surface("int32 a = 1; repeated string b = 2;")
    assert before == {"p.M#1": "a: INT32", "p.M#2": "b: repeated STRING"}
    assert broken(before, *surface("int32 a = 1; repeated string b = 2; bool c = 3;")) == []
    assert broken(before, *surface("int32 a = 1; reserved 2;")) == []
    assert len(broken(before, *surface("int32 a = 1;"))) == 1
    assert len(broken(before, *surface("int32 a = 1; repeated bytes b = 2;"))) == 1
    assert len(broken(before, *surface("int32 a = 1; repeated string x = 2;"))) == 1
