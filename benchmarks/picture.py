"""The picture of a table of ratios: a line for each row, a dot for each peer, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.ratios import Measured, geometric_mean

COLORS = ("#1f77b4", "#7fb2d9", "#ff7f0e", "#c75b00", "#d62728", "#8c1c1d", "#9edae5", "#ffbb78", "#ff9896", "#2ca02c")
MARKERS = "oDsPv^XphH"


def draw(rows: Sequence[Measured], engines: Sequence[str], title: str, target: Path) -> Path | None:
    """Draw the ratios, medians with quartiles; None without Matplotlib or without anything to compare.

    Args:
        rows: of the table.
        engines: its columns; those of this project are the line at 1.
        title: of the picture.
        target: a PNG file.
    """
    peers = [name for name in engines if any(name in row.results and name not in row.ours for row in rows)]
    if not any(row.lead for row in rows):
        return None
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.55 * len(rows)), dpi=110)
    for index, peer in enumerate(peers):
        places, medians, below, above = [], [], [], []
        for place, row in enumerate(rows):
            ratio = row.ratio(peer) if peer in row.results else None
            if ratio is None:
                continue
            places.append(place + 0.5 * (index - (len(peers) - 1) / 2) / max(len(peers), 1))
            medians.append(ratio.median)
            below.append(ratio.median - ratio.low)
            above.append(ratio.high - ratio.median)
        style = {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)]}
        axes.errorbar(medians, places, xerr=[below, above], linestyle="", markersize=5, capsize=2, label=peer, **style)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    labels = [f"{row.name}  ({row.lead:.2f})" if row.lead else row.name for row in rows]
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("their time / Amalthea's: right of the line Amalthea is faster")
    mean = geometric_mean(row.lead for row in rows if row.lead)
    axes.set_title(
        f"{title}: best peer / Amalthea {mean:.2f} in the geometric mean; each row's in brackets", fontsize=10
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
    figure.savefig(target, bbox_inches="tight")
    pyplot.close(figure)
    return target
