"""What starting a command loads: `massctl` stays quick, the daemons stay small."""

import json
import subprocess
import sys

from tests.house.tree import ROOT

TRAINING = {"torch", "numpy", "sklearn", "scipy", "numba", "highspy", "matplotlib"}


def loaded_by(code: str) -> set[str]:
    """Run Python code in a fresh process; give the modules that it loaded, by their full names."""
    probe = "import json, sys\ntry:\n" + "".join(f"    {line}\n" for line in code.splitlines())
    probe += "except SystemExit as done:\n    assert not done.code, done.code\n"
    probe += "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def roots(modules: set[str]) -> set[str]:
    """Give the top-level packages among module names."""
    return {module.split(".")[0] for module in modules}


def massctl(*args: str) -> str:
    """Give the code that runs the command line tool in its own process."""
    return f"sys.argv = {['massctl', *args]!r}\nfrom aimass.cli import main\nmain()"


def test_massctl_help_loads_nothing_heavy() -> None:
    """Help and completion answer before any of these could even be found on disk."""
    heavy = TRAINING | {
        "pydantic",
        "pydantic_settings",
        "grpc",
        "google",
        "redis",
        "yaml",
        "asyncio",
    }
    assert roots(loaded_by(massctl("--help"))) & heavy == set()


def test_the_client_loads_no_server_code() -> None:
    """`pip install aimass` on a laptop has neither extra."""
    loaded = loaded_by("import aimass.client, aimass.jobfile")
    assert (
        roots(loaded) & (TRAINING | {"pynvml", "msgspec", "structlog", "prometheus_client"})
        == set()
    )
    ours = ("aimass.core", "aimass.policies", "aimass.scheduler", "aimass.nodeagent")
    assert [module for module in loaded if module.startswith(ours)] == []


def test_the_scheduler_never_loads_torch() -> None:
    """It schedules training, it does not train; nor does it touch a GPU."""
    loaded = loaded_by("import aimass.scheduler.main")
    assert roots(loaded) & (TRAINING | {"pynvml"}) == set()
    assert [module for module in loaded if module.startswith("aimass.nodeagent")] == []


def test_the_node_agent_loads_neither_torch_nor_the_server() -> None:
    """Nodes install the `node` extra and nothing else."""
    loaded = loaded_by("import aimass.nodeagent.main")
    assert roots(loaded) & (TRAINING | {"msgspec", "prometheus_client"}) == set()
    ours = ("aimass.policies", "aimass.scheduler")
    assert [module for module in loaded if module.startswith(ours)] == []


def test_the_probe_sees_what_is_loaded() -> None:
    """The checker itself: an import in a function counts when the function runs, and only then."""
    loaded = loaded_by("def f():\n    import yaml\ndef g():\n    import msgspec\nf()\nsys.exit(0)")
    assert "yaml" in loaded
    assert "msgspec" not in loaded
