"""`jit`: compiled where the extra `fast` is installed, plain Python elsewhere; same results."""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

try:
    import numba
except ImportError:
    numba = None

# False too where numba is told to leave functions as they are (NUMBA_DISABLE_JIT=1).
IS_COMPILED = numba is not None and not numba.config.DISABLE_JIT


def jit(function: Function) -> Function:
    """Compile a function of numbers and arrays on its first call, or leave it as it is.

    The machine code is kept on disk only where somebody has said where (NUMBA_CACHE_DIR, or
    `pack_cache.keep_compiled`): numba would put it beside the source.
    """
    if numba is None:
        return function
    made: Function = numba.njit(cache=bool(numba.config.CACHE_DIR))(function)
    return made
