"""Kernels that were compiled in an earlier run, or by another worker, are used again."""

from aimass.policies.pack_cache import keep_compiled

keep_compiled()
