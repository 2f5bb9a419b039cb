"""The rows of the table for graphics processors, and small ones of the same kind that any machine can run."""

from __future__ import annotations

from benchmarks.training.rows import CLASSES, Training
from benchmarks.training.work import Work

MIXED = "mixed_bfloat16"


def _mlp(name: str, width: int, batch: int) -> Training:
    return Training(
        name,
        f"1024-{width}-{width}-10, batch {batch}, float32",
        (((1024,), 0),),
        10,
        batch,
        8,
        CLASSES,
        Work(),
        laps=1 if name.endswith("-tiny") else 4,
        sizes={"width": width},
    )


def _resnet50(name: str, size: int, batch: int) -> Training:
    return Training(
        name,
        f"{size}x{size}x3, batch {batch}, bfloat16",
        (((size, size, 3), 0),),
        1000,
        batch,
        2,
        CLASSES,
        Work(),
        laps=1 if name.endswith("-tiny") else 5,
        policy=MIXED,
        sizes={"size": size},
    )


def _gpt(name: str, layers: int, width: int, context: int, words: int, batch: int) -> Training:
    return Training(
        name,
        f"{layers} layers, width {width}, context {context}, {words} words, batch {batch}, bfloat16",
        (((context,), words),),
        words,
        batch,
        2,
        CLASSES,
        Work(),
        targets=(context,),
        laps=1 if name.endswith("-tiny") else 5,
        policy=MIXED,
        sizes={
            "layers": layers,
            "width": width,
            "heads": width // 64,
            "context": context,
            "vocabulary": words,
            "tied": True,
        },
    )


ROWS: dict[str, Training] = {
    row.name: row
    for row in (
        _mlp("mlp", 4096, 1024),
        _resnet50("resnet50", 224, 128),
        _gpt("gpt", 12, 768, 1024, 50257, 8),  # GPT-2's, 124 million parameters
        _mlp("mlp-tiny", 64, 16),
        _resnet50("resnet50-tiny", 64, 8),
        _gpt("gpt-tiny", 2, 128, 64, 500, 2),
    )
}
"""The rows by name."""

LARGE = tuple(name for name in ROWS if not name.endswith("-tiny"))
"""Those worth measuring."""
