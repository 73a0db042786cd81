"""Sets of nodes as integers (bit i: the node with index i), and one number per node in bit slices.

Python's integers AND 100,000 bits in half a microsecond, so a question to all nodes at once costs
little more than a question to one. Slices: O'Neil and Quass, "Improved query performance with
variant indexes" (SIGMOD 1997).
"""

from collections.abc import Iterable, Sequence


def mask_of(indexes: Sequence[int]) -> int:
    """The set of these indexes. O(n + largest / 8)."""
    if len(indexes) < 8:
        mask = 0
        for index in indexes:
            mask |= 1 << index
        return mask
    row = bytearray(max(indexes) // 8 + 1)
    for index in indexes:
        row[index >> 3] |= 1 << (index & 7)
    return int.from_bytes(row, "little")


def lowest(mask: int) -> int:
    """The smallest index in a set that is not empty."""
    return (mask ^ (mask - 1)).bit_length() - 1


def members(mask: int) -> Iterable[int]:
    """The indexes in a set, ascending. O(members * largest): for small sets."""
    while mask:
        index = lowest(mask)
        yield index
        mask ^= 1 << index


class Sliced:
    """One number >= 0 per index. slices[b] is the set of those whose number has bit b."""

    __slots__ = ("slices", "values")

    def __init__(self) -> None:
        self.values: list[int] = []
        self.slices: list[int] = []

    def put(self, index: int, number: int) -> None:
        """Enter a number. O(bits that change) operations on sets."""
        values, slices = self.values, self.slices
        diff = values[index] ^ number
        if not diff:
            return
        values[index] = number
        slices += [0] * (number.bit_length() - len(slices))
        bit = 1 << index
        while diff:
            low = diff & -diff
            slices[low.bit_length() - 1] ^= bit
            diff ^= low

    def put_all(self, numbers: list[int]) -> None:
        """Enter all numbers afresh. O(numbers * bits)."""
        self.values = numbers
        everything, backwards = 0, numbers[::-1]
        for number in numbers:
            everything |= number
        self.slices = [
            int("".join("1" if number >> b & 1 else "0" for number in backwards), 2)
            if everything >> b & 1
            else 0
            for b in range(everything.bit_length())
        ]

    def at_least(self, number: int, among: int) -> int:
        """Those of a set whose number is not below `number`. O(bits) operations."""
        if number <= 0:
            return among
        slices = self.slices
        if number >> len(slices):
            return 0
        first = (number & -number).bit_length() - 1
        found = among & slices[first]
        number >>= first
        for row in slices[first + 1 :]:
            number >>= 1
            if number & 1:
                found &= row
            elif row:
                found |= row
        return found & among

    def least(self, among: int) -> int:
        """Those of a set whose number is the least in it. O(bits) operations."""
        for row in reversed(self.slices):
            if row:
                having = among & row
                if having != among:
                    among ^= having
        return among

    def most(self, among: int) -> int:
        """Those of a set whose number is the largest in it. O(bits) operations."""
        for row in reversed(self.slices):
            among = among & row or among
        return among
