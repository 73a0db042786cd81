"""What is installed is what is on disk: the table in pyproject.toml, the folders, a built wheel."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.tree import OTHER, PACKAGES, PYPROJECT, ROOT

LEFT_OUT = {"__pycache__"}


def files_on_disk(folder: Path) -> set[str]:
    """Name the files of one flat package folder."""
    return {path.name for path in folder.iterdir() if path.is_file()}


def sub_packages(packages: dict[str, Path]) -> list[str]:
    """Find folders with code inside the packages' folders that the table does not know."""
    known = set(packages.values())
    return sorted(
        str(path.parent)
        for folder in packages.values()
        for path in folder.rglob("*.py")
        if path.parent not in known
    )


def test_the_table_lists_each_package_once() -> None:
    """`packages` and `package-dir` are two lists of the same thing; setuptools needs both."""
    assert PYPROJECT["tool"]["setuptools"]["packages"] == list(PACKAGES)


def test_every_package_folder_is_typed() -> None:
    """Without py.typed in it, a package's annotations do not exist for those who import it."""
    missing = [
        package for package, folder in PACKAGES.items() if not (folder / "py.typed").exists()
    ]
    assert missing == []


def test_no_sub_package_is_outside_the_table(tmp_path: Path) -> None:
    """Folders stay flat: a sub-folder is not in the wheel, and nothing else would tell."""
    assert sub_packages(PACKAGES) == []
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "lost.py").touch()
    assert sub_packages({"aimass.x": tmp_path}) == [str(tmp_path / "deep")]


def test_every_top_level_folder_with_code_is_known() -> None:
    """A new folder is either a package of the table or one of the few that are never installed."""
    with_code = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith((".", "build")) and any(path.glob("*.py"))
    }
    packaged = {folder.relative_to(ROOT).parts[0] for folder in PACKAGES.values()}
    assert with_code <= packaged | set(OTHER)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of what is packaged, with the build tools already installed."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", PYPROJECT["project"]["readme"], "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in PACKAGES.values():
        target = source / folder.relative_to(ROOT)
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "-o",
        str(out),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_exactly_the_files_on_disk(wheel: Path) -> None:
    """A data file with an ending that package-data does not name would be missing here."""
    expected = {
        f"{package.replace('.', '/')}/{name}"
        for package, folder in PACKAGES.items()
        for name in files_on_disk(folder)
    }
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name for name in inside if ".dist-info/" not in name} == expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in inside)
    for kind in (".pyi", ".proto", "/py.typed"):
        assert any(name.endswith(kind) for name in expected)


IMPORT_ALL = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
import aimass
assert pathlib.Path(aimass.__file__).is_relative_to(root), aimass.__file__
for path in sorted(root.glob("aimass/**/*.py")):
    if path.stem != "__main__":
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        module = importlib.import_module(name)
        assert pathlib.Path(module.__file__) == path, (name, module.__file__)
"""


def test_everything_imports_from_an_unpacked_wheel(wheel: Path, tmp_path: Path) -> None:
    """Installed, no module may lean on the checkout; a user's own scheduler.py changes nothing."""
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(target)
    elsewhere.mkdir()
    for name in ("scheduler.py", "core.py"):
        (elsewhere / name).write_text("raise AssertionError('the user\\'s own file was imported')")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(target)],
        cwd=elsewhere,
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_each_entry_point_names_a_function_that_exists(wheel: Path) -> None:
    """A command that is installed and then cannot start is worse than none."""
    scripts = PYPROJECT["project"]["scripts"]
    assert set(scripts) == {"massctl", "massd", "massnode"}
    (listed,) = [n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("entry_points.txt")]
    text = zipfile.ZipFile(wheel).read(listed).decode()
    for command, where in scripts.items():
        assert f"{command} = {where}" in text
        module, function = where.split(":")
        code = f"import {module} as m; assert callable(m.{function})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
