"""Several ranks' output on one stream: whole lines with their rank before them. Bytes, not text."""

LINE_BYTES_MAX = 1 << 20  # a longer line is broken here, so that memory stays bounded


class LineMux:
    """Gives complete lines with a `[rank] ` prefix; keeps unfinished ones until they end."""

    def __init__(self) -> None:
        self._unfinished: dict[int, bytes] = {}

    def feed(self, rank: int, data: bytes) -> bytes:
        """Take output of a rank; give what can be printed now."""
        *lines, rest = (self._unfinished.get(rank, b"") + data).split(b"\n")
        while len(rest) > LINE_BYTES_MAX:
            lines.append(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._unfinished[rank] = rest
        return b"".join(b"[%d] %s\n" % (rank, line) for line in lines)

    def end(self, rank: int) -> bytes:
        """Give the last line of a rank that ended without a newline."""
        rest = self._unfinished.pop(rank, b"")
        return b"[%d] %s\n" % (rank, rest) if rest else b""

    def end_all(self) -> bytes:
        """Give every unfinished line, by rank."""
        return b"".join(self.end(rank) for rank in sorted(self._unfinished))
