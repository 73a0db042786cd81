"""How fast a job is where, as job files say it: `{A100: 1.8}`, or a list of settings."""

from typing import Annotated, NamedTuple

from pydantic import PlainValidator, WithJsonSchema

from aimass.jobvalues import Wrong
from aimass.speedview import MICRO, setting_text

SPEED_MAX = 1_000_000
SETTINGS_MAX = 1024
GPUS_MAX = 2**40
NODES_MAX = 4096
FIELDS = ("gpuType", "gpus", "nodes", "speed")
SPEED_ALLOWED = f"a number from 0 (cannot run there) to {SPEED_MAX}, at most six decimals, as 1.8"
ALLOWED = (
    "speeds by GPU type, as {A100: 1.8}, or a list of {gpuType, gpus, nodes, speed}; 1 is the speed"
    " for which expectedRuntime is given"
)


class Speed(NamedTuple):
    """One setting: an empty type is any, 0 GPUs any number, 0 nodes any number of nodes."""

    gpu_type: str
    gpus: int
    nodes: int
    speed_micro: int


def parse_speeds(value: object) -> tuple[Speed, ...]:
    """Turn what stands in a file into settings. Raises Wrong."""
    if isinstance(value, dict):
        found = [Speed(_gpu_type(key), 0, 0, _micro(key, one)) for key, one in value.items()]
    elif isinstance(value, list):
        found = [_setting(number, one) for number, one in enumerate(value, 1)]
    else:
        raise ValueError(ALLOWED)
    if len(found) > SETTINGS_MAX:
        raise Wrong(f"{len(found)} settings", f"at most {SETTINGS_MAX}")
    seen = set()
    for one in found:
        if one[:3] in seen:
            what = f"{setting_text(one.gpu_type, one.gpus, one.nodes)} comes twice"
            raise Wrong(what, "one speed for each GPU type, number and nodes")
        seen.add(one[:3])
    return tuple(found)


def _setting(number: int, value: object) -> Speed:
    if not isinstance(value, dict):
        raise Wrong(f"item {number} is no mapping", ALLOWED)
    unknown = [str(name) for name in value if name not in FIELDS]
    if unknown:
        raise Wrong(f'item {number} has "{unknown[0][:60]}"', ", ".join(FIELDS))
    if "speed" not in value:
        raise Wrong(f"item {number} has no speed", SPEED_ALLOWED)
    gpu_type = _gpu_type(value["gpuType"]) if "gpuType" in value else ""
    gpus = _count(number, "gpus", value.get("gpus", 0), GPUS_MAX)
    nodes = _count(number, "nodes", value.get("nodes", 0), NODES_MAX)
    return Speed(gpu_type, gpus, nodes, _micro(f"item {number}", value["speed"]))


def _gpu_type(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Wrong("a GPU type is no word", "a device model in one line, as A100")
    return value


def _count(number: int, name: str, value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Wrong(f"{name} of item {number} is not allowed", f"0 (any number) to {most}")
    return value


def _micro(where: object, value: object) -> int:
    """Millionths of a speed; `where` names it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong(f"the speed of {where} is no number", SPEED_ALLOWED)
    if not 0 <= value <= SPEED_MAX or abs(round(value * MICRO) - value * MICRO) > 1e-4 * value:
        raise Wrong(f"the speed of {where} is {value}", SPEED_ALLOWED)
    return round(value * MICRO)


_speed = {"type": "number", "minimum": 0, "maximum": SPEED_MAX, "description": SPEED_ALLOWED}
_counts = {
    "gpus": {"type": "integer", "minimum": 0, "maximum": GPUS_MAX},
    "nodes": {"type": "integer", "minimum": 0, "maximum": NODES_MAX},
}
_setting_schema = {
    "type": "object",
    "properties": {"gpuType": {"type": "string", "minLength": 1}, **_counts, "speed": _speed},
    "required": ["speed"],
    "additionalProperties": False,
}
_schema = {
    "anyOf": [
        {"type": "object", "additionalProperties": _speed, "maxProperties": SETTINGS_MAX},
        {"type": "array", "items": _setting_schema, "maxItems": SETTINGS_MAX},
    ],
    "description": ALLOWED,
}
Speeds = Annotated[tuple[Speed, ...], PlainValidator(parse_speeds), WithJsonSchema(_schema)]
