"""Several ranks' output on one stream: whole lines that say their rank. Bytes, not text."""

import json
from collections.abc import Callable

LINE_BYTES_MAX = 1 << 20  # a longer line is broken here, so that memory stays bounded


def prefixed(rank: int, line: bytes) -> bytes:
    """Give a line with `[rank] ` before it."""
    return b"[%d] %s\n" % (rank, line)


def json_line(attempt: int, rank: int, line: bytes) -> bytes:
    """Give a line as a JSON object of its own; bytes that are no UTF-8 become U+FFFD."""
    text = line.removesuffix(b"\r").decode(errors="replace")
    view = {"attempt": attempt, "rank": rank, "line": text}
    return json.dumps(view, ensure_ascii=False).encode() + b"\n"


class LineMux:
    """Gives complete lines, each as `show` writes it; keeps unfinished ones until they end."""

    def __init__(self, show: Callable[[int, bytes], bytes] = prefixed) -> None:
        self._unfinished: dict[int, bytes] = {}
        self._show = show

    def feed(self, rank: int, data: bytes) -> bytes:
        """Take output of a rank; give what can be printed now."""
        *lines, rest = (self._unfinished.get(rank, b"") + data).split(b"\n")
        while len(rest) > LINE_BYTES_MAX:
            lines.append(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._unfinished[rank] = rest
        return b"".join(self._show(rank, line) for line in lines)

    def end(self, rank: int) -> bytes:
        """Give the last line of a rank that ended without a newline."""
        rest = self._unfinished.pop(rank, b"")
        return self._show(rank, rest) if rest else b""

    def end_all(self) -> bytes:
        """Give every unfinished line, by rank."""
        return b"".join(self.end(rank) for rank in sorted(self._unfinished))
