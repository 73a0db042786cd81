"""Heat maps: rows over time as one small picture inside the page, so that size stays bounded.

The colour is one hue that is more or less opaque, so the same bytes suit light and dark pages;
where nothing is in service they are grey.
"""

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape

from aimass.simulator.chart import BOTTOM, RIGHT, TOP, WIDTH, Axes, Frame
from aimass.simulator.chart_scale import Scale

LEVELS = 101  # whole percent
HUE = (0, 114, 178)  # Okabe and Ito's blue
GONE = 101  # where no GPU is in service
_GREY = (128, 128, 128, 110)
ROW_PX_MIN, HEIGHT_MIN, HEIGHT_MAX = 8, 120, 320
LEFT = 96

Cells = Sequence[Sequence[float | None]]  # by row, then by time: parts of 1; None: nothing there


def heat_map(x: Scale, x_title: str, label: str, names: Sequence[str], cells: Cells) -> str:
    """The picture, rows from the top; some of their names are beside it."""
    rows = len(cells)
    height = min(HEIGHT_MAX, max(HEIGHT_MIN, ROW_PX_MIN * rows))
    frame = Frame(Axes(x, Scale(0, 1, ()), x_title, ""), label, LEFT, height + TOP + BOTTOM)
    frame.grid(has_rows=False)
    data = b64encode(png(cells)).decode()
    frame.add(
        f'<image x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{height}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{data}"><title>{escape(label)}'
        "</title></image>"
    )
    step = max(1, -(-rows * 14 // height))
    for index in range(0, rows, step):
        name = names[index]
        short = name if len(name) <= 14 else f"{name[:13]}…"
        frame.text(LEFT - 6, TOP + (index + 0.5) * height / rows + 4, short, "end")
    return frame.end()


def png(cells: Cells) -> bytes:
    """A picture of a pixel a cell, with a palette (PNG 1.2, colour type 3 with tRNS)."""
    width, height = len(cells[0]), len(cells)
    palette = bytes(HUE) * LEVELS + bytes(_GREY[:3])
    opacity = bytes(round(255 * level / (LEVELS - 1)) for level in range(LEVELS))
    lines = b"".join(b"\0" + bytes(_level(value) for value in row) for row in cells)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette),
            _chunk(b"tRNS", opacity + bytes(_GREY[3:])),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _level(value: float | None) -> int:
    return GONE if value is None else round((LEVELS - 1) * min(max(value, 0), 1))


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
