"""`set_random_seed` makes a program repeatable from its first call on."""

from __future__ import annotations

import subprocess
import sys


def test_the_first_call_seeds_as_every_later_one_does() -> None:
    code = """if True:
        import amalthea as am
        def draw():
            am.utils.set_random_seed(3)
            return am.initializers.GlorotUniform()((2, 3)).tolist(), am.random.normal((2,)).tolist()
        first = draw()
        assert draw() == first
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
