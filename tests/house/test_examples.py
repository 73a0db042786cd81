"""The example job files are ones that massctl takes, and name programs that are there."""

from pathlib import Path

import pytest

from aimass import jobfile
from tests.house.tree import ROOT

JOB_FILES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.name)
def test_an_example_job_file_is_good(path: Path) -> None:
    """Read as massctl reads it; a script in its command is found from its working directory."""
    spec = jobfile.load(path)
    assert spec.name == path.stem
    scripts = [word for role in spec.roles for word in role.command if word.endswith(".py")]
    missing = [script for script in scripts if not (Path(spec.workdir) / script).exists()]
    assert missing == []
