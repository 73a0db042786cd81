"""The page of a report in a real browser: no errors, not blank, light and dark, and on paper.

Chromium is driven by its own flags, so nothing needs to be installed for it but the browser.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aimass import cli

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=f"no browser here: none of {', '.join(BROWSERS)}"),
]
DARK, LIGHT = 0, 1


def browse(page: Path, folder: Path, *flags: str, scheme: int = LIGHT) -> tuple[str, list[str]]:
    """Open the page without a network; give what the browser printed, and its console's lines."""
    assert BROWSER is not None
    words = [
        *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--no-first-run", "--disable-component-update", "--disable-background-networking"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"),
        *(f"--user-data-dir={folder / 'profile'}", "--window-size=1240,2400"),
        *(f"--blink-settings=preferredColorScheme={scheme}", *flags, page.as_uri()),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a report on three policies, with seeds and queues."""
    folder = tmp_path_factory.mktemp("report")
    jobs = [
        {
            "id": f"a{i}",
            "submit_s": 30 * i,
            "run_s": 60 + 7919 * i % 3000,
            "gpus": (1, 2, 4, 8)[i % 4],
            "queue": ("research", "<b>vision</b>")[i % 2],
        }
        for i in range(60)
    ]
    trace = folder / "jobs.jsonl"
    trace.write_text("".join(json.dumps(job) + "\n" for job in jobs))
    words = ["--cluster", "3x4xA100+1x8xH100", "--policy", "fair", "--compare", "srtf,fifo"]
    words += ["--seeds", "2", "--error", "0.5", "--report", str(folder)]
    assert cli.run(["sim", "run", "--trace", str(trace), *words]) == 0
    return folder / "report.html"


def picture(path: Path) -> Any:
    """The pixels as rows of (red, green, blue), 0 to 1."""
    from matplotlib import image

    return image.imread(path)[:, :, :3]


def test_light_and_dark_show_the_page_without_errors(report: Path, tmp_path: Path) -> None:
    shots = {}
    for scheme in (LIGHT, DARK):
        shot = tmp_path / f"{scheme}.png"
        _, console = browse(report, tmp_path, f"--screenshot={shot}", scheme=scheme)
        assert console == []
        shots[scheme] = picture(shot)
    light, dark = shots[LIGHT], shots[DARK]
    assert light.shape == dark.shape == (2400, 1240, 3)
    assert light.mean() > 0.85
    assert dark.mean() < 0.25
    for pixels in (light, dark):
        assert pixels.std() > 0.05
        for quarter in range(4):  # something is drawn all the way down
            assert pixels[600 * quarter : 600 * (quarter + 1)].std() > 0.02
        spread = pixels.max(axis=2) - pixels.min(axis=2)
        assert (spread > 0.3).mean() > 0.003  # lines, dots and heat maps have colours


def test_its_script_runs_under_its_own_policy(report: Path, tmp_path: Path) -> None:
    page, console = browse(report, tmp_path, "--dump-dom")
    assert console == []
    drawn = report.read_text().count("data-box=")
    assert page.count('class="read"') == drawn > 0


def test_a_pointer_reads_values_back_from_the_lines(report: Path, tmp_path: Path) -> None:
    pointed = """<script>
      const svg = document.querySelector("svg[data-box]"), box = svg.getBoundingClientRect();
      const [, , right] = svg.dataset.box.split(" ").map(Number);
      const x = box.left + (right - 0.5) / svg.viewBox.baseVal.width * box.width;
      svg.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: box.top + 50 }));
    </script></body>"""
    opened = re.sub(r"<meta http-equiv=.*?>", "", report.read_text())
    pointing = tmp_path / "pointing.html"
    pointing.write_text(opened.replace("</body>", pointed))
    page, console = browse(pointing, tmp_path, "--dump-dom")
    assert console == []
    read = re.search(r'<div class="read"[^>]*>([^<]*)</div>', page)
    assert read is not None
    at, *lines = read[1].split("\n")
    assert re.fullmatch(r"[\d.,]+ (s|min|h|d)", at)
    # At the right edge of a distribution, nobody took longer.
    assert {line.split("  ")[1] for line in lines} <= {"fair", "srtf", "fifo"}
    assert all(line.startswith("100 %  ") for line in lines)


def test_it_prints(report: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    _, console = browse(report, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    assert console == []
    data = paper.read_bytes()
    assert data.startswith(b"%PDF-")
    assert 2 <= data.count(b"/Type /Page\n") <= 12


def test_the_browser_tells_what_these_tests_look_for(report: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    planted = '<img src="http://example.org/a.png"><script>alert(1)</script></body>'
    bad.write_text(report.read_text().replace("</body>", planted))
    shot = tmp_path / "blank.png"
    _, console = browse(bad, tmp_path, "--dump-dom")
    assert sum("Content Security Policy" in line for line in console) == 2
    bad.write_text("<html><body></body></html>")
    browse(bad, tmp_path, f"--screenshot={shot}")
    assert picture(shot).std() == 0
