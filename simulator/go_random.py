"""The pseudo-random numbers of Go's math/rand, which the published arrival orders come from.

An additive lagged Fibonacci sequence, x[n] = x[n-607] + x[n-273] modulo 2**64. A seed's first 607
numbers come from the Lehmer generator 48271 modulo 2**31 - 1, and are xored with a fixed table:
the same sequence 7.8e12 steps after another start. Here that table is computed, by a jump ahead:
x[N] is a sum of the first 607 numbers with the coefficients of z**N modulo z**607 - z**334 - 1.
"""

import functools
from collections.abc import Iterator, MutableSequence
from typing import Any

import numpy as np

LONG, SHORT = 607, 273
TABLE_STEPS = 7_800_000_000_000
LEHMER_MODULUS = (1 << 31) - 1
ZERO_SEED = 89_482_311
_WORD = (1 << 64) - 1


class GoRandom:
    """Go's `rand.New(rand.NewSource(seed))`, as far as it is used here."""

    def __init__(self, seed: int) -> None:
        start = _start(seed, 40, 20)
        self._words = [word ^ mask for word, mask in zip(start, _table(), strict=True)]
        self._tap, self._feed = 0, LONG - SHORT

    def int63(self) -> int:
        """Draw 63 bits."""
        self._tap = (self._tap - 1) % LONG
        self._feed = (self._feed - 1) % LONG
        word = (self._words[self._feed] + self._words[self._tap]) & _WORD
        self._words[self._feed] = word
        return word & (_WORD >> 1)

    def below(self, limit: int) -> int:
        """Draw an integer of 0..limit-1, as Intn does; limit at most 2**31 - 1."""
        if limit & (limit - 1) == 0:
            return (self.int63() >> 32) & (limit - 1)
        largest = (1 << 31) - 1 - (1 << 31) % limit
        while (drawn := self.int63() >> 32) > largest:
            pass
        return drawn % limit

    def shuffle(self, items: MutableSequence[Any]) -> None:
        """Put a list into a random order, as Shuffle does."""
        for last in range(len(items) - 1, 0, -1):
            other = self._scaled(last + 1)
            items[last], items[other] = items[other], items[last]

    def _scaled(self, limit: int) -> int:
        """Draw an integer of 0..limit-1 by a multiplication of 32 bits (Lemire)."""
        product = (self.int63() >> 31) * limit
        if product & 0xFFFFFFFF < limit:
            least = ((1 << 32) - limit) % limit
            while product & 0xFFFFFFFF < least:
                product = (self.int63() >> 31) * limit
        return product >> 32


def _start(seed: int, high_shift: int, middle_shift: int) -> list[int]:
    """Give 607 words of three Lehmer numbers each, after 20 that are left out."""
    lehmer = _lehmer(seed % LEHMER_MODULUS or ZERO_SEED)
    for _ in range(20):
        next(lehmer)
    return [
        (next(lehmer) << high_shift ^ next(lehmer) << middle_shift ^ next(lehmer)) & _WORD
        for _ in range(LONG)
    ]


def _lehmer(x: int) -> Iterator[int]:
    while True:
        x = x * 48_271 % LEHMER_MODULUS
        yield x


@functools.cache
def _table() -> list[int]:
    """Give the table, by place in the ring that the sequence is kept in. About 10 ms.

    The ring's place p holds x[n] of the newest n with n = 334 - p modulo 607.
    """
    begin = _start(1, 20, 10)
    sequence: Any = np.zeros(2 * LONG, np.uint64)  # x[-606], x[-605], ...
    for place, word in enumerate(begin):
        sequence[(LONG - SHORT - place - 1) % LONG] = word
    for n in range(LONG, 2 * LONG):
        sequence[n : n + 1] = (
            sequence[n - LONG : n - LONG + 1] + sequence[n - SHORT : n - SHORT + 1]
        )
    factors = _power_of_z(TABLE_STEPS)
    table = [0] * LONG
    for k in range(LONG):
        n = TABLE_STEPS - LONG + 1 + k
        table[(LONG - SHORT - n) % LONG] = int((factors * sequence[k : k + LONG]).sum())
    return table


def _power_of_z(exponent: int) -> Any:
    """Give z**exponent modulo z**607 - z**334 - 1, coefficients modulo 2**64."""
    power: Any = np.zeros(LONG, np.uint64)
    power[0] = 1
    for bit in f"{exponent:b}":
        power = _reduced(np.convolve(power, power))
        if bit == "1":
            power = _reduced(np.concatenate([np.zeros(1, np.uint64), power]))
    return power


def _reduced(terms: Any) -> Any:
    """Take out the terms from z**607 on: z**d = z**(d-607) + z**(d-273), highest first."""
    terms = terms.copy()
    high = len(terms)
    while high > LONG:
        low = max(LONG, high - SHORT)
        block = terms[low:high].copy()
        terms[low - LONG : high - LONG] += block
        terms[low - SHORT : high - SHORT] += block
        high = low
    return terms[:LONG]
