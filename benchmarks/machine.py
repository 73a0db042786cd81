"""The machine a figure was measured on, as far as figures depend on it. No names, no paths."""

import os
import platform
import tempfile
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Cores, processor, Python, kernel, the temporary folder's file system, and how busy it is."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
        "python": platform.python_version(),
        "kernel": platform.release().split("-")[0],
        "fs": _file_system(Path(tempfile.gettempdir())),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def one_line(machine: dict[str, Any]) -> str:
    """The same for people."""
    return (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_mib']:,} MiB,"
        f" Python {machine['python']}, Linux {machine['kernel']}, {machine['fs']},"
        f" load {machine['load_1min']}"
    )


def _cpu() -> str:
    """The processor's own name; a family and model tell more where that is generic."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name", platform.machine())
    family, model = fields.get("cpu family", ""), fields.get("model", "")
    return f"{name}, family {family} model {model}" if family else name


def _file_system(path: Path) -> str:
    """Type of the file system that holds `path`: of the longest mount point above it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(at), kind) for at, kind in mounts if path.is_relative_to(at)]
    return max(above)[1] if above else "unknown"
