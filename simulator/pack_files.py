"""Cluster and pod lists for packing experiments, read strictly from CSV, plain, gzip or zstd.

A file is read line by line, whatever its size, and either all of it comes back or a `FileProblem`
says at which line it is wrong and what to do. Columns are found by name, in any order; others are
ignored. The names are those of the openb traces (Alibaba's GPU cluster of 2023).
"""

import codecs
import csv
import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from aimass.core.shapes import Shape
from aimass.simulator.unpack import DAMAGE, NotPacked, unpacked

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
POD_EXTRAS = ("gpu_spec", "creation_time", "deletion_time")
NO_TIME_MS = -1  # of a pod whose file has no times

LINE_BYTES_MAX = 2**16  # a longer line is no row, and must not be held in memory to find that out
COUNT_MAX = 10**12  # sums over any cluster stay far inside 64 bits
CPU_MILLI_MAX = 2**27  # as the packing engine has it
WHOLE_MILLI = 1000
GPUS_MAX = 8  # of one node, and so of one pod: the packing engine has room for no more

_COUNT = re.compile(r"[0-9]{1,15}\Z")
_SECONDS = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,30}))?\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class PackNode(NamedTuple):
    """One machine. model is that of all its GPUs, "" where the file names none."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    model: str


class PackPod(NamedTuple):
    """One pod and its life in ms since the file's epoch; `NO_TIME_MS` where it has no times."""

    name: str
    shape: Shape
    created_ms: int
    deleted_ms: int


class FileProblem(ValueError):
    """What is wrong with a file, at which line, and what to do about it. Nothing was read.

    about: what a lenient reader leaves out for it: that "line", all the "rest" of the file from
    there on, or some "columns", which say nothing.
    """

    about = "line"

    def __init__(self, path: Path, line: int, what: str, fix: str) -> None:
        super().__init__(f"{path}:{line}: {what}; fix: {fix}")
        self.path, self.line, self.what, self.fix = path, line, what, fix


class CutOff(FileProblem):
    """From that line on nothing of the file can be read."""

    about = "rest"


class UnknownColumns(FileProblem):
    """The line names columns that say nothing here."""

    about = "columns"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a CSV file by the names of its columns, and where it stands."""

    path: Path
    line: int
    fields: dict[str, str]

    def problem(self, what: str, fix: str) -> FileProblem:
        """Say what is wrong with this line."""
        return FileProblem(self.path, self.line, what, fix)

    def text(self, column: str) -> str:
        """Give a field that must not be empty."""
        if not self.fields[column]:
            raise self.problem(f"{column} is empty", f"give every row its {column}")
        return self.fields[column]

    def count(self, column: str, most: int = COUNT_MAX) -> int:
        """Give a field that must be a whole number from 0 to `most`."""
        text = self.fields[column]
        if not _COUNT.match(text) or int(text) > most:
            fix = f"write {column} as a whole number from 0 to {most}"
            raise self.problem(f"{column} is {quoted(text)}", fix)
        return int(text)

    def seconds_ms(self, column: str) -> int:
        """Give a time or a duration in seconds as ms, rounded down."""
        found = _SECONDS.match(self.fields[column])
        if found is None:
            fix = f"write {column} in seconds, as a number of at least 0"
            raise self.problem(f"{column} is {quoted(self.fields[column])}", fix)
        whole, part = found.groups(default="")
        return int(whole) * 1000 + int(part.ljust(3, "0")[:3])


def read_nodes(path: Path) -> list[PackNode]:
    """Give all nodes of a cluster, in the order of the file.

    Raises FileProblem; also for a name that comes twice, and for a cluster without any GPU.
    """
    lines: dict[str, int] = {}
    nodes = []
    for row in read_rows(path, NODE_COLUMNS):
        name = row.text("sn")
        if name in lines:
            what = f"node {quoted(name)} is on line {lines[name]} already"
            raise row.problem(what, "give every node a name of its own")
        lines[name] = row.line
        amounts = (row.count("cpu_milli", CPU_MILLI_MAX), row.count("memory_mib"))
        gpus = row.count("gpu", GPUS_MAX)
        nodes.append(PackNode(name, *amounts, gpus, row.fields["model"]))
    if not any(node.gpus for node in nodes):
        fix = "name a cluster with GPUs: column gpu is their number on each node"
        raise FileProblem(path, 1, "no node has a GPU", fix)
    return nodes


def read_pods(path: Path, nodes: Sequence[PackNode] = ()) -> list[PackPod]:
    """Give all pods, in the order of the file. Equal shapes are one object.

    nodes: the cluster they are meant for. A pod that names a model no node has, or that asks for
    more than any node has, is then a FileProblem. One that is too large only for the models it
    names is let pass: gpuspec10 has two of them, and the published experiment drops them. A name
    that comes twice is a FileProblem too: arrivals are drawn from the pods in the order of names.
    """
    fits = _refuse_misfits(nodes) if nodes else None
    shapes: dict[Shape, Shape] = {}
    lines: dict[str, int] = {}
    pods = []
    for row in read_rows(path, POD_COLUMNS, POD_EXTRAS):
        name, shape = row.text("name"), _shape(row)
        if name in lines:
            what = f"pod {quoted(name)} is on line {lines[name]} already"
            raise row.problem(what, "give every pod a name of its own")
        lines[name] = row.line
        if shape not in shapes:
            shapes[shape] = shape
            if fits is not None:
                fits(row, shape)
        pods.append(PackPod(name, shapes[shape], *_life_ms(row)))
    return pods


def fits_empty(shape: Shape, node: PackNode) -> bool:
    """Say whether the pod fits on the node when nothing else is there."""
    return (
        shape.cpu_milli <= node.cpu_milli
        and shape.memory_mib <= node.memory_mib
        and shape.gpus <= node.gpus
        and (not shape.models or node.model in shape.models)
    )


def read_rows(path: Path, needed: Sequence[str], extra: Sequence[str] = ()) -> Iterator[Row]:
    """Give the rows of a CSV file one by one, with the needed columns and what it has of the extra.

    Raises FileProblem when there is no row, and for a row that is not as long as the header.
    """
    lines = numbered_lines(path)
    first = next(lines, None)
    if first is None:
        raise FileProblem(path, 1, "the file is empty", f"it begins with {','.join(needed)}")
    at, places = _places(path, first, needed, extra)
    is_empty = True
    for number, line in lines:
        fields = split_fields(path, number, line)
        if len(fields) != at:
            what = f"{len(fields)} fields below a header of {at}"
            raise FileProblem(path, number, what, "give every row one field for each column")
        is_empty = False
        yield Row(path, number, {name: fields[place] for name, place in places.items()})
    if is_empty:
        raise FileProblem(path, first[0], "no rows below the header", "name a file with rows")


def _places(
    path: Path, first: tuple[int, str], needed: Sequence[str], extra: Sequence[str]
) -> tuple[int, dict[str, int]]:
    """Find the columns in the header line: how many there are, and the places of ours."""
    header = split_fields(path, *first)
    missing = [name for name in needed if name not in header]
    if missing:
        fix = f"the first line must name {','.join(needed)}"
        raise FileProblem(path, first[0], f"no column {', '.join(missing)}", fix)
    wanted = [name for name in (*needed, *extra) if name in header]
    twice = [name for name in wanted if header.count(name) > 1]
    if twice:
        raise FileProblem(path, first[0], f"column {twice[0]} comes twice", "keep one of them")
    return len(header), {name: header.index(name) for name in wanted}


def _shape(row: Row) -> Shape:
    gpus, gpu_milli = row.count("num_gpu", GPUS_MAX), row.count("gpu_milli", WHOLE_MILLI)
    if gpus == 0 and gpu_milli:
        fix = "gpu_milli is 0 where num_gpu is 0"
        raise row.problem(f"{gpu_milli} gpu_milli of no GPU", fix)
    if gpus and not gpu_milli:
        raise row.problem(f"gpu_milli is 0 of {gpus} GPUs", "1 to 1000; 1000 is a whole GPU")
    if gpus > 1 and gpu_milli < WHOLE_MILLI:
        fix = "gpu_milli is 1000 where num_gpu is above 1"
        raise row.problem(f"{gpu_milli} gpu_milli of each of {gpus} GPUs", fix)
    amounts = (row.count("cpu_milli", CPU_MILLI_MAX), row.count("memory_mib"))
    return Shape(*amounts, gpus, gpu_milli, _models(row))


def _models(row: Row) -> tuple[str, ...]:
    """The models that will do; "V100M16|V100M32|V100M16" is two of them."""
    text = row.fields.get("gpu_spec", "")
    models = [model.strip() for model in text.split("|")] if text else []
    if "" in models:
        fix = "join the models by single |, or leave gpu_spec empty for any"
        raise row.problem(f"gpu_spec is {quoted(text)}", fix)
    return tuple(sorted(set(models)))


def _life_ms(row: Row) -> tuple[int, int]:
    if "creation_time" not in row.fields or "deletion_time" not in row.fields:
        return NO_TIME_MS, NO_TIME_MS
    created_ms, deleted_ms = row.seconds_ms("creation_time"), row.seconds_ms("deletion_time")
    if deleted_ms < created_ms:
        what = "deletion_time is before creation_time"
        raise row.problem(what, "give each pod the time of its end, not before its beginning")
    return created_ms, deleted_ms


def _refuse_misfits(nodes: Sequence[PackNode]) -> Callable[[Row, Shape], None]:
    """Give the check of one shape against all kinds of nodes."""
    kinds = list(dict.fromkeys(node._replace(name="") for node in nodes))
    known = {node.model for node in kinds}

    def check(row: Row, shape: Shape) -> None:
        unknown = [model for model in shape.models if model not in known]
        if unknown:
            fix = f"the cluster has {', '.join(sorted(known - {''})) or 'no named models'}"
            raise row.problem(f"no node has GPUs of model {quoted(unknown[0])}", fix)
        if not any(fits_empty(shape._replace(models=()), node) for node in kinds):
            what = f"pod {quoted(row.fields['name'])} is larger than any node"
            raise row.problem(what, "leave it out, or name the cluster it was made for")

    return check


def numbered_lines(
    path: Path, wrong: Callable[[FileProblem], None] | None = None
) -> Iterator[tuple[int, str]]:
    """Give the lines that are not blank with their numbers, decoded, without their ends.

    wrong: given, it is told of lines that cannot be read, and of where the file is cut off; else
    they raise FileProblem.
    """
    number = 0
    with open(path, "rb") as file:
        try:
            stream = unpacked(path, file)
        except NotPacked as error:
            raise FileProblem(path, 1, error.what, error.fix) from None
        while True:
            try:
                line = stream.readline(LINE_BYTES_MAX)
                number += 1
                if len(line) == LINE_BYTES_MAX:
                    fix = "check that it is a CSV file"
                    raise FileProblem(path, number, f"longer than {LINE_BYTES_MAX} bytes", fix)
                text = _decoded(path, number, line)
            except DAMAGE as error:
                kind = "gzip" if isinstance(stream, gzip.GzipFile) else "zstd"
                what = f"the {kind} data cannot be read on from here ({error})"
                fix = "copy the file again: it is cut off or damaged"
                problem = CutOff(path, number + 1, what, fix)
                if wrong is None:
                    raise problem from None
                wrong(problem)
                return
            except FileProblem as problem:
                if wrong is None or len(line) == LINE_BYTES_MAX:  # where does the next one begin?
                    raise
                wrong(problem)
                continue
            if not line:
                return
            if text.strip():
                yield number, text


def _decoded(path: Path, number: int, line: bytes) -> str:
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"byte {error.start + 1} of the line is not UTF-8"
        raise FileProblem(path, number, what, "save the file as UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if (found := _CONTROL.search(text)) is not None:
        fix = "check that it is a CSV file with \\n at the end of each line"
        raise FileProblem(path, number, f"the control character {found.group()!r}", fix)
    return text


def split_fields(path: Path, number: int, line: str) -> list[str]:
    """Split one line at its commas; quotes as csv has them, but closed on the same line."""
    if '"' not in line:
        return [field.strip() for field in line.split(",")]
    try:
        (fields,) = csv.reader([line], strict=True)
    except csv.Error as error:
        fix = "close each quote on its own line, and double quotes inside"
        raise FileProblem(path, number, f"the quotes are wrong ({error})", fix) from None
    return [field.strip() for field in fields]


def quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
