"""How a report looks, and the script that tells the values under a pointer.

Colours after Okabe and Ito (2008), darker on white and lighter on black, so that each has a
contrast of at least 3 to 1 against its background.
"""

_LIGHT = """
  --ink: #17202a; --soft: #5a6572; --paper: #fff; --card: #f7f8fa; --rule: #dfe3e8;
  --c0: #0072b2; --c1: #c8500a; --c2: #00805c; --c3: #a64d86; --c4: #8c6d00; --c5: #2f86b7;
  --c6: #6a51a3; --c7: #5f6b76;
"""
_DARK = """
  --ink: #e8ebee; --soft: #a3adb8; --paper: #13171c; --card: #1b2027; --rule: #343c46;
  --c0: #56aee6; --c1: #f28a4c; --c2: #37c79b; --c3: #e08fc0; --c4: #e3b93c;
  --c5: #8fd3f2; --c6: #b39ff0; --c7: #aab4bf;
"""
_COLOURS = "".join(f".c{i} {{ --c: var(--c{i}); }}\n" for i in range(8))

STYLE = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
@media print {{ :root {{ color-scheme: light; {_LIGHT} }} }}
* {{ box-sizing: border-box; }}
body {{ font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  color: var(--ink); background: var(--paper); max-width: 1180px; margin: 0 auto;
  padding: 2.2rem 1.6rem 4rem; }}
h1 {{ font-size: 1.05rem; font-weight: 600; color: var(--soft); margin: 0 0 .7rem; }}
.lede p {{ font-size: 1.62rem; line-height: 1.3; font-weight: 600; margin: 0 0 .45rem;
  letter-spacing: -.01em; text-wrap: balance; }}
.lede p + p {{ font-size: 1.12rem; font-weight: 400; color: var(--soft); }}
h2 {{ font-size: 1.25rem; margin: 2.8rem 0 .3rem; padding-top: 1.1rem;
  border-top: 1px solid var(--rule); break-after: avoid; }}
h3 {{ font-size: .98rem; margin: 0 0 .3rem; }}
.about {{ color: var(--soft); margin: 0 0 .6rem; max-width: 78ch; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: .9rem;
  margin: 1.5rem 0 .6rem; }}
.tile {{ background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: .8rem 1rem; display: flex; flex-direction: column; break-inside: avoid; }}
.tile span {{ color: var(--soft); font-size: .86rem; }}
.tile b {{ font-size: 1.65rem; line-height: 1.25; font-variant-numeric: tabular-nums; }}
.tile small {{ color: var(--soft); }}
.pictures {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr));
  gap: 1.1rem; align-items: start; }}
figure {{ margin: 0; padding: .9rem 1rem .7rem; background: var(--card); position: relative;
  border: 1px solid var(--rule); border-radius: 10px; break-inside: avoid; }}
figcaption {{ color: var(--soft); font-size: .86rem; margin-top: .2rem; }}
svg {{ width: 100%; height: auto; display: block; overflow: visible; }}
svg text {{ fill: var(--soft); font-size: 11.5px; font-family: inherit; }}
svg text.title {{ fill: var(--ink); }} svg text.name {{ fill: var(--ink); font-size: 12px; }}
svg image {{ image-rendering: pixelated; }}
.grid {{ stroke: var(--rule); stroke-width: 1; fill: none; }}
.base {{ stroke: var(--soft); stroke-width: 1; fill: none; }}
.zero {{ stroke: var(--ink); stroke-width: 1.2; fill: none; }}
.goal {{ stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 5 4; fill: none; }}
.front {{ stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 3 4; fill: none; }}
.line {{ fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; }}
.band {{ fill: var(--c); opacity: .15; stroke: none; }}
.dot {{ fill: var(--c); stroke: var(--card); stroke-width: 1; }}
.faint {{ opacity: .45; }}
.work {{ fill: var(--c0); }} .lost {{ fill: var(--c1); }}
.beside {{ fill: var(--c4); opacity: .75; }}
.idle {{ fill: var(--soft); opacity: .25; }} .down {{ fill: var(--c6); }}
.bar {{ fill: var(--c); }}
.pointer {{ stroke: var(--soft); stroke-width: 1; }}
.read {{ position: absolute; pointer-events: none; background: var(--paper); color: var(--ink);
  border: 1px solid var(--rule); border-radius: 6px; padding: .25rem .55rem; font-size: .82rem;
  white-space: pre; box-shadow: 0 2px 8px #0003; z-index: 2; font-variant-numeric: tabular-nums; }}
{_COLOURS}
ul.legend {{ list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.3rem; padding: 0;
  margin: .4rem 0 .8rem; font-size: .92rem; }}
.key {{ width: 34px; height: 14px; display: inline-block; vertical-align: -2px;
  margin-right: .45rem; }}
.swatch {{ width: 14px; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }}
.wide {{ overflow-x: auto; }} .wide table {{ width: 100%; }}
th, td {{ padding: .34rem .6rem; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }}
th:first-child {{ text-align: left; }} thead th {{ color: var(--soft); font-weight: 500;
  white-space: normal; vertical-align: bottom; }}
tbody th {{ font-weight: 600; }} td.best {{ font-weight: 700; color: var(--c2); }}
caption.unseen {{ position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }}
details {{ margin-top: .4rem; font-size: .86rem; max-width: 100%; overflow-x: auto; }}
summary {{ color: var(--soft); cursor: pointer; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; font-size: .9rem; }}
dt {{ color: var(--soft); }} dd {{ margin: 0; overflow-wrap: anywhere; }}
@media (max-width: 640px) {{ body {{ padding: 1rem; }} .lede p {{ font-size: 1.25rem; }}
  dl {{ grid-template-columns: 1fr; }} dd {{ margin-bottom: .5rem; }} }}
@media print {{
  @page {{ size: A4; margin: 12mm; }}
  html {{ font-size: 11px; }} body {{ max-width: none; padding: 0; font-size: 11px; }}
  h2 {{ margin-top: 1.6rem; }} h2, .about, ul.legend {{ break-after: avoid; }}
  .tiles {{ grid-template-columns: repeat(4, 1fr); }}
  .pictures {{ grid-template-columns: 1fr 1fr; }} details {{ display: none; }}
  svg, .tile, figure {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }}
  .wide {{ overflow: visible; }} th, td {{ padding: .2rem .35rem; }} }}
"""

# Reads values back from the drawn lines: the page holds no second copy of them.
SCRIPT = """
"use strict";
const axis = (text) => {
  const [low, high, isLog, kind] = text.split(" ");
  return { low: +low, high: +high, isLog: isLog === "1", kind };
};
const valueAt = (a, part) => a.isLog ? a.low * (a.high / a.low) ** part
  : a.low + part * (a.high - a.low);
const short = (v) => v === 0 ? "0" : (+v.toPrecision(3)).toLocaleString("en");
const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const told = (v, kind) => {
  if (kind === "percent") return short(100 * v) + " %";
  if (kind !== "time") return short(v);
  const [size, unit] = units.find(([size]) => v >= size) || units[3];
  return short(v / size) + " " + unit;
};
const heightAt = (points, x) => {
  for (let i = 1; i < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    if (x0 <= x && x <= x1) return x1 > x0 ? y0 + (y1 - y0) * (x - x0) / (x1 - x0) : y1;
  }
  return null;
};
for (const svg of document.querySelectorAll("svg[data-box]")) {
  const [left, top, right, bottom] = svg.dataset.box.split(" ").map(Number);
  const [ax, ay] = [axis(svg.dataset.x), axis(svg.dataset.y)];
  const drawn = [...svg.querySelectorAll("polyline[data-name]")].map((line) => ({
    name: line.dataset.name,
    points: line.getAttribute("points").split(" ").map((pair) => pair.split(",").map(Number)),
  }));
  const rule = document.createElementNS("http://www.w3.org/2000/svg", "path");
  rule.setAttribute("class", "pointer");
  svg.append(rule);
  const read = document.createElement("div");
  read.className = "read";
  read.hidden = true;
  svg.parentNode.append(read);
  const hide = () => { read.hidden = true; rule.removeAttribute("d"); };
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    if (x < left || x > right) return hide();
    rule.setAttribute("d", `M${x} ${top}V${bottom}`);
    const rows = drawn.map(({ name, points }) => {
      const y = heightAt(points, x);
      if (y === null) return "";
      return `\\n${told(valueAt(ay, (bottom - y) / (bottom - top)), ay.kind)}  ${name}`;
    });
    read.textContent = told(valueAt(ax, (x - left) / (right - left)), ax.kind) + rows.join("");
    read.hidden = false;
    const frame = svg.parentNode.getBoundingClientRect();
    const at = event.clientX - frame.left;
    const isRight = at > frame.width / 2;
    read.style.left = isRight ? "" : `${at + 14}px`;
    read.style.right = isRight ? `${frame.width - at + 14}px` : "";
    read.style.top = `${box.top - frame.top + 12}px`;
  });
}
"""
