"""Where machine code of the packing kernels is kept between runs: the user's cache folder.

The one file here that touches a disk; it decides nothing, and the shells that pack call it.
"""

import hashlib
import os
from pathlib import Path


def keep_compiled() -> None:
    """Let numba keep what it compiles, by the state of the source; call it before importing that.

    NUMBA_CACHE_DIR, when set, wins. Nothing happens where no folder can be made: each process
    compiles for itself then.
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    source = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(source.glob("pack_*.py")):
        digest.update(path.read_bytes())
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "aimass" / "kernels" / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
