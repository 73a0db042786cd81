"""Runs one shard: `python -I -S shim.py FOLDER [READY_FD]`; shim_main.py is what it does.

Started by path and without site-packages because a shim must stand within milliseconds. Stand-in
packages let the real module names work, with their compiled files, without importing aimass itself.
"""

import os
import sys


def _stand_in(name: str, folders: list[str]) -> None:
    package = type(sys)(name)
    package.__path__ = folders
    sys.modules[name] = package


if __name__ == "__main__":
    _stand_in("aimass", [])
    _stand_in("aimass.nodeagent", [os.path.dirname(os.path.abspath(__file__))])
    from aimass.nodeagent.shim_main import main

    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else -1)
