"""AI Mass: the client library (`Client`, `AsyncClient`) and `massctl`.

The top-level folders of the repository are packages of this one import name. Installed, setuptools'
table does that; in a bare checkout the two lines below do.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "MassError", "__version__"]

_root = Path(__file__).parent.parent
if (_root / "pyproject.toml").exists():  # a source checkout: the folders sit beside this one
    __path__ += [str(_root), str(_root / "protos" / "aimass")]

if TYPE_CHECKING:
    from aimass.client import AsyncClient, Client, MassError


def __getattr__(name: str) -> Any:
    """Load the client on first use: `massctl --help` must not pay for gRPC."""
    if name in ("AsyncClient", "Client", "MassError"):
        from aimass import client

        return getattr(client, name)
    raise AttributeError(f"module 'aimass' has no attribute {name!r}")
