"""Charts as SVG text: lines with bands, dots with names, stacked bars, intervals.

Nothing here loads anything, and every text is escaped. Colours are classes of the page (c0, c1, …),
so that light and dark pages can differ; lines differ by their dashes too, and dots by their shapes,
for who sees fewer colours and for print without any.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from aimass.simulator.chart_scale import Scale

COLOURS = 8
DASHES = ("", "7 3", "2 3", "9 3 2 3", "14 4", "1 4")
WIDTH, HEIGHT = 520, 290
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 10, 44

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """A named line. low, high: the edges of its band, point by point; empty: it has none.

    style: which colour and dashes; equal names have equal ones in all charts of a page.
    """

    name: str
    style: int
    points: Points
    low: Points = ()
    high: Points = ()


@dataclass(frozen=True, slots=True)
class Dot:
    """A named place. note: what is said where a pointer rests on it."""

    name: str
    style: int
    x: float
    y: float
    note: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the interval around it, in the row of its name."""

    name: str
    style: int
    low: float
    mean: float
    high: float
    note: str
    is_clear: bool  # it leaves out nothing at all


@dataclass(frozen=True, slots=True)
class Axes:
    """Both axes and what they are called. kinds: "time" (seconds), "percent" or "number"."""

    x: Scale
    y: Scale
    x_title: str
    y_title: str
    x_kind: str = "number"
    y_kind: str = "number"


class Frame:
    """A picture with axes; draws in the units of the axes."""

    def __init__(
        self, axes: Axes, label: str, left: int = LEFT, height: int = HEIGHT, extra: str = ""
    ) -> None:
        """label: what it shows, for who cannot see it. extra: more attributes."""
        self._axes, self._left, self._height = axes, left, height
        size = f'viewBox="0 0 {WIDTH} {height}"'
        self._parts = [f'<svg {size} role="img" aria-label="{escape(label)}"{extra}>']

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return round(self._left + self._axes.x.part(value) * (WIDTH - self._left - RIGHT), 1)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        bottom = self._height - BOTTOM
        return round(bottom - self._axes.y.part(value) * (bottom - TOP), 1)

    def grid(self, has_rows: bool = True) -> None:
        """Lines and words of the ticks, and the titles. has_rows: with those of the y axis."""
        bottom, right = self._height - BOTTOM, WIDTH - RIGHT
        for value, text in self._axes.x.ticks:
            at = self.x(value)
            self.add(f'<path class="grid" d="M{at} {TOP}V{bottom}"/>')
            self.text(at, bottom + 16, text, "middle")
        if has_rows:
            for value, text in self._axes.y.ticks:
                at = self.y(value)
                self.add(f'<path class="grid" d="M{self._left} {at}H{right}"/>')
                self.text(self._left - 7, at + 4, text, "end")
        self.add(f'<path class="base" d="M{self._left} {bottom}H{right}"/>')
        self.text((self._left + right) / 2, self._height - 8, self._axes.x_title, "middle", "title")
        if self._axes.y_title:
            middle = (TOP + bottom) / 2
            turn = f'transform="rotate(-90 10 {middle})"'
            self.text(10, middle, self._axes.y_title, "middle", "title", turn)

    def text(
        self, x: float, y: float, text: str, anchor: str, kind: str = "", extra: str = ""
    ) -> None:
        """A text. anchor: start, middle or end."""
        named = f' class="{kind}"' if kind else ""
        place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
        self.add(f"<text{named} {place} {extra}>{escape(text)}</text>")

    def add(self, text: str) -> None:
        """Any SVG."""
        self._parts.append(text)

    def path(self, points: Points) -> str:
        """Points as SVG has them; what lies on a line between others is left out."""
        placed: list[tuple[float, float]] = []
        for x, y in points:
            at = self.x(x), self.y(y)
            if len(placed) > 1 and placed[-1][1] == placed[-2][1] == at[1]:
                placed[-1] = at
            elif not placed or at != placed[-1]:
                placed.append(at)
        return " ".join(f"{x:g},{y:g}" for x, y in placed)

    def end(self) -> str:
        """The whole picture."""
        return "\n".join([*self._parts, "</svg>"])


def dashes(style: int) -> str:
    """The attribute that tells styles of one colour apart, and of like colours."""
    dash = DASHES[style % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def colour(style: int) -> str:
    """The class of the page with the style's colour."""
    return f"c{style % COLOURS}"


def lines(axes: Axes, label: str, drawn: Iterable[Line]) -> str:
    """Lines over their bands."""
    left, drawn = _left_of(axes), list(drawn)
    frame = Frame(axes, label, left, extra=_read_out(axes, left))
    frame.grid()
    for line in drawn:
        if line.low:
            edge = frame.path([*line.low, *reversed(line.high)])
            frame.add(f'<polygon class="band {colour(line.style)}" points="{edge}"/>')
    for line in drawn:
        frame.add(
            f'<polyline class="line {colour(line.style)}"{dashes(line.style)} '
            f'points="{frame.path(line.points)}" data-name="{escape(line.name)}"/>'
        )
    return frame.end()


def _left_of(axes: Axes) -> int:
    """Room for the words of the y axis, and for its title."""
    longest = max((len(text) for _, text in axes.y.ticks), default=0)
    return max(LEFT, 14 + 7 * longest + (12 if axes.y_title else 0))


def _read_out(axes: Axes, left: int) -> str:
    """What the page's script needs to tell values under a pointer: the plot's box and its axes."""
    box = f"{left} {TOP} {WIDTH - RIGHT} {HEIGHT - BOTTOM}"
    (x, y), kinds = (axes.x, axes.y), (axes.x_kind, axes.y_kind)
    both = [
        f'data-{name}="{scale.low:g} {scale.high:g} {int(scale.is_log)} {kind}"'
        for name, scale, kind in zip("xy", (x, y), kinds, strict=True)
    ]
    return f' data-box="{box}" {" ".join(both)}'


_SHAPES = (
    "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0 -5 0Z",
    "M-5 -5H5V5H-5Z",
    "M0 -6L6 5H-6Z",
    "M0 -6.5L6.5 0L0 6.5L-6.5 0Z",
    "M0 6L6 -5H-6Z",
    "M-2 -6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
)


def shape(style: int) -> str:
    """The path of the style's dot, around 0, 0."""
    return _SHAPES[style % len(_SHAPES)]


def scatter(axes: Axes, label: str, dots: Sequence[Dot], front: Points = ()) -> str:
    """Dots with their names beside them. front: a line of steps that they are drawn over."""
    frame = Frame(axes, label, _left_of(axes))
    frame.grid()
    if front:
        frame.add(f'<polyline class="front" points="{frame.path(front)}"/>')
    places = [(frame.x(dot.x), frame.y(dot.y)) for dot in dots]
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    for dot, (x, y) in zip(dots, places, strict=True):
        frame.add(
            f'<path class="dot {colour(dot.style)}" transform="translate({x:g} {y:g})" '
            f'd="{shape(dot.style)}"><title>{escape(dot.note)}</title></path>'
        )
        box, at_x, at_y, anchor = _free_place(x, y, 7.0 * len(dot.name), taken)
        taken.append(box)
        frame.text(at_x, at_y, dot.name, anchor, "name")
    return frame.end()


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _free_place(
    x: float, y: float, width: float, taken: Sequence[Box]
) -> tuple[Box, float, float, str]:
    """Where a dot's name goes: its box, its place and anchor. Beside the dot, or where it is free.

    O(places x taken).
    """
    places = []
    for step in range(6):
        for up in (-step, step) if step else (0,):
            middle = y - 7 + 13 * up  # above a line that goes through the dot
            places.append(((x + 8, middle - 7, x + 10 + width, middle + 6), x + 10, "start"))
            places.append(((x - 10 - width, middle - 7, x - 8, middle + 6), x - 10, "end"))
    inside = [one for one in places if one[0][0] >= LEFT and one[0][2] <= WIDTH] or places
    free = [one for one in inside if not any(_overlap(one[0], other) for other in taken)]
    box, at, anchor = (free or inside)[0]
    return box, at, box[3] - 2, anchor


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of parts that are put behind each other: (part's class, size, what is said of it)."""

    name: str
    parts: Sequence[tuple[str, float, str]]


ROW_HEIGHT = 26


def bars(x: Scale, x_title: str, label: str, rows: Sequence[Bar]) -> str:
    """Rows of parts from 0 on."""
    frame = _named_rows(x, x_title, label, [row.name for row in rows])
    for index, row in enumerate(rows):
        at, top = x.low, TOP + index * ROW_HEIGHT + 4
        for kind, size, note in row.parts:
            left, at = frame.x(at), at + size
            width = frame.x(at) - left
            if width > 0:
                frame.add(
                    f'<rect class="{kind}" x="{left:g}" y="{top}" width="{width:.1f}" '
                    f'height="{ROW_HEIGHT - 8}"><title>{escape(note)}</title></rect>'
                )
    return frame.end()


def intervals(
    x: Scale, x_title: str, label: str, rows: Sequence[Sequence[Interval]], names: Sequence[str]
) -> str:
    """For each name a row with its means and intervals; a line where x is 0."""
    frame = _named_rows(x, x_title, label, names)
    bottom = TOP + len(names) * ROW_HEIGHT
    if x.low <= 0 <= x.high:
        frame.add(f'<path class="zero" d="M{frame.x(0):g} {TOP}V{bottom}"/>')
    for index, row in enumerate(rows):
        for number, one in enumerate(row):
            step = ROW_HEIGHT / (len(row) + 1)
            y = TOP + index * ROW_HEIGHT + (number + 1) * step
            kind = colour(one.style) + ("" if one.is_clear else " faint")
            low, high = frame.x(one.low), frame.x(one.high)
            if high > low:
                frame.add(f'<path class="line {kind}" d="M{low:g} {y:g}H{high:g}"/>')
            frame.add(
                f'<path class="dot {kind}" transform="translate({frame.x(one.mean):g} {y:g}) '
                f'scale(.8)" d="{shape(one.style)}"><title>{escape(one.note)}</title></path>'
            )
    return frame.end()


def _named_rows(x: Scale, x_title: str, label: str, names: Sequence[str]) -> Frame:
    longest = max((len(name) for name in names), default=0)
    left = min(210, max(LEFT, 16 + 7 * longest))
    height = TOP + BOTTOM + len(names) * ROW_HEIGHT
    axes = Axes(x, Scale(0, 1, ()), x_title, "")
    frame = Frame(axes, label, left, height)
    frame.grid(has_rows=False)
    for index, name in enumerate(names):
        short = name if len(name) <= 28 else f"{name[:27]}…"
        frame.text(left - 8, TOP + (index + 0.5) * ROW_HEIGHT + 4, short, "end")
    return frame
