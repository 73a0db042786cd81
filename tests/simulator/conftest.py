"""Kernels that were compiled in an earlier run, or by another worker, are used again."""

from aimass.simulator.compiled import keep_compiled

keep_compiled()
