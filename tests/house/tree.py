"""The repository as the house tests see it: folders, packages, files."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

with open(ROOT / "pyproject.toml", "rb") as _file:
    PYPROJECT = tomllib.load(_file)

# Import name of each package -> its folder, e.g. "aimass.v1" -> protos/aimass/v1.
PACKAGES: dict[str, Path] = {
    package: ROOT / folder
    for package, folder in PYPROJECT["tool"]["setuptools"]["package-dir"].items()
}

# The same by layer: "core", "policies", …, "v1", and "aimass" for the client's own folder.
LAYERS: dict[str, Path] = {
    package.removeprefix("aimass."): folder for package, folder in PACKAGES.items()
}

# Folders of code that are not packaged.
OTHER = ("tests", "benchmarks", "examples", "scripts")


def is_generated(path: Path) -> bool:
    """Say whether protoc wrote this file."""
    return "_pb2" in path.name


def python_files(*folders: Path) -> list[Path]:
    """List every .py file below the folders, in a fixed order."""
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def our_files() -> list[Path]:
    """List every .py file that people wrote, packaged or not."""
    folders = [*LAYERS.values(), *(ROOT / name for name in OTHER)]
    return [path for path in python_files(*folders) if not is_generated(path)]


def name_of(path: Path) -> str:
    """Give a path as people write it, from the repository's root."""
    return path.relative_to(ROOT).as_posix()
