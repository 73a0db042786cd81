"""The agent's folder: who it says the agent is, over restarts and upgrades."""

from pathlib import Path

from aimass.nodeagent import durable
from aimass.nodeagent.home import Home


def test_a_folder_from_before_keeps_its_count_and_draws_its_instance(tmp_path: Path) -> None:
    """Older agents wrote none; from this start on it is on disk."""
    old = {"node_id": "n1", "incarnation": 7, "boot_id": "b"}
    durable.write_json(f"{tmp_path}/node.json", old)
    home = Home(tmp_path, "n1", "b")
    assert home.incarnation == 8
    assert len(home.instance) == 32
    assert durable.read_json(f"{tmp_path}/node.json") == {
        **old,
        "incarnation": 8,
        "instance": home.instance,
    }


def test_a_fresh_folder_is_another_instance(tmp_path: Path) -> None:
    """A wiped folder counts from 1 again and is told apart by what it drew."""
    one, other = (Home(tmp_path / name, "n1", "b") for name in ("one", "other"))
    assert (one.incarnation, other.incarnation) == (1, 1)
    assert one.instance != other.instance
