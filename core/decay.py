"""Past use that fades: sums of amount x ms that halve every half-life, in integers alone.

What is used at a constant rate for a time dt adds rate * (h / ln 2) * (1 - 2^(-dt/h)): the exact
integral, so that many small steps give what one large step gives, up to rounding.
"""

from functools import lru_cache
from math import isqrt

BITS = 64
ONE = 1 << BITS
LN2 = 12786308645202655660  # ln 2 in units of 2^-64
_GUARD = 16
_STEPS = 1024
_HALF = ONE >> 1

Fair = tuple[int, int, int]  # of the resources of fair share: gpu, cpu, memory


def _table() -> tuple[int, ...]:
    """2^(-k/1024) in units of 2^-64: ten square roots of one half, then products."""
    bits = BITS + _GUARD
    root = 1 << (bits - 1)
    for _ in range(10):
        root = isqrt(root << bits)
    powers = [1 << bits]
    for _ in range(_STEPS - 1):
        powers.append(powers[-1] * root >> bits)
    return tuple(power + (1 << _GUARD - 1) >> _GUARD for power in powers)


POWERS = _table()


def remainder(span_ms: int, half_life_ms: int) -> int:
    """2^(-span/half-life) in units of 2^-64. half_life_ms 0: nothing is remembered. O(1).

    Whole halvings are shifts, 1,024ths come from the table, and what is left of one is so small
    that five terms of the exponential series give every bit.
    """
    if span_ms <= 0:
        return ONE
    if half_life_ms <= 0:
        return 0
    halvings, rest = divmod(span_ms, half_life_ms)
    if halvings >= BITS:
        return 0
    step, rest = divmod(rest * _STEPS, half_life_ms)
    power = POWERS[step]
    if rest:
        x = LN2 * rest // (half_life_ms * _STEPS)
        series = ONE
        for divisor in (5, 4, 3, 2, 1):
            series = ONE - x * series // (ONE * divisor)
        power = power * series >> BITS
    return power >> halvings


def fade(history: Fair, rates: Fair, span_ms: int, half_life_ms: int) -> Fair:
    """Histories (amount x ms) after a time in which `rates` were in use. O(1).

    Called whenever a job starts or a shard ends: spelled out for speed.
    """
    left, gain = _fading(span_ms, half_life_ms)
    if left == ONE:  # no time has passed
        return history
    gpu, cpu, memory = history
    gpu_rate, cpu_rate, memory_rate = rates
    return (
        (gpu * left + _HALF >> BITS) + gpu_rate * gain // LN2,
        (cpu * left + _HALF >> BITS) + cpu_rate * gain // LN2,
        (memory * left + _HALF >> BITS) + memory_rate * gain // LN2,
    )


@lru_cache(maxsize=4096)  # on a busy cluster the same few spans come again and again
def _fading(span_ms: int, half_life_ms: int) -> tuple[int, int]:
    """What is left of one, and what one in use adds times ln 2; in units of 2^-64."""
    left = remainder(span_ms, half_life_ms)
    return left, half_life_ms * (ONE - left)


def average(history: int, half_life_ms: int) -> int:
    """The constant use that would have made this history: comparable with what is in use now."""
    return history * LN2 // (half_life_ms << BITS) if half_life_ms > 0 else 0
