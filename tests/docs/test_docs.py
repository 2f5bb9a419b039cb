"""Every ```python block of the README and of docs/ is run, in order, one namespace for a page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)|<img[^>]+src=\"([^\"]+)\"")


def program_of(text: str) -> str:
    """All python blocks of a page as one program, each on the lines on which it stands in the page."""
    lines: list[str] = []
    for block in BLOCK.finditer(text):
        lines += [""] * (text[: block.start(1)].count("\n") - len(lines))
        lines += block.group(1).splitlines()
    return "\n".join(lines) + "\n"


def execute(code: str, page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own: pages register ops and set seeds, which must not reach other tests."""
    start = f"exec(compile({code!r}, {str(page)!r}, 'exec'), {{'__name__': '__main__'}})"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, "-c", start], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("page", [p for p in PAGES if BLOCK.search(p.read_text())], ids=lambda p: p.relative_to(ROOT))
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    run = execute(program_of(page.read_text(encoding="utf-8")), page, tmp_path)
    assert run.returncode == 0, f"{page.relative_to(ROOT)}\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT))
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    targets = [a or b for a, b in LINK.findall(page.read_text(encoding="utf-8"))]
    local = [target for target in targets if not target.startswith(("http://", "https://", "mailto:"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


TEXT = re.compile(r"^```python\n(.*?)^```\n+```text\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = [(page, match) for page in PAGES for match in TEXT.finditer(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "match"), SHOWN, ids=lambda x: x.relative_to(ROOT) if isinstance(x, Path) else "")
def test_a_page_shows_what_its_code_prints(page: Path, match: re.Match[str], tmp_path: Path) -> None:
    """A ```text block right after a python block is what running the page so far prints last."""
    before = program_of(page.read_text(encoding="utf-8")[: match.end(1)] + "```\n")
    run = execute(before, page, tmp_path)
    assert run.stdout.endswith(match.group(2)), run.stdout[-2000:]
