"""Lay out `.types/aimass/` as links to the folders that pyproject.toml maps into `aimass`.

Type checkers cannot follow setuptools' import hook, so they read the package from here instead.
"""

import shutil
import tomllib
from pathlib import Path

root = Path(__file__).resolve().parent.parent
with open(root / "pyproject.toml", "rb") as file:
    folder_of: dict[str, str] = tomllib.load(file)["tool"]["setuptools"]["package-dir"]

target = root / ".types" / "aimass"
shutil.rmtree(target, ignore_errors=True)  # removes links, never what they point at
target.mkdir(parents=True)
for package, folder in folder_of.items():
    if package == "aimass":  # a folder of its own, because the others are linked into it
        for path in (root / folder).glob("*.py*"):
            (target / path.name).symlink_to(path)
        (target / "py.typed").symlink_to(root / folder / "py.typed")
    else:
        (target / package.removeprefix("aimass.")).symlink_to(root / folder)
