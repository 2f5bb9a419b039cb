"""`jit_compile`: what is asked of the engine's own compiler reaches the backend."""

import numpy as np
import pytest

import amalthea as am
from amalthea.core.backend import active


@pytest.fixture
def asked(monkeypatch):
    """What each program was compiled with."""
    found = []
    compile_ = type(active.backend).compile

    def compile_and_note(self, graph, jit_compile=None):
        found.append(jit_compile)
        return compile_(self, graph, None)

    monkeypatch.setattr(type(active.backend), "compile", compile_and_note)
    return found


@pytest.mark.parametrize("choice", [None, True, False])
def test_a_function_asks_for_it(asked, choice):
    double = am.function(lambda x: x * 2.0, jit_compile=choice)
    assert double(np.float32(3)).item() == 6.0
    assert asked == [choice]
    x = am.Variable(2.0)
    with am.GradientTape() as tape:
        y = double(x.value)
        z = double(x)
    assert tape.gradient(z, x).item() == 2.0 and y.item() == 4.0
    assert set(asked) == {choice}


def test_as_a_decorator_and_on_a_method(asked):
    class Doubler:
        @am.function(jit_compile=True)
        def double(self, x):
            return x * 2.0

    assert Doubler().double(np.float32(3)).item() == 6.0
    assert asked == [True]


@pytest.mark.parametrize(("choice", "wanted"), [("auto", None), (True, True), (False, False)])
def test_a_model_asks_for_it(asked, choice, wanted):
    model = am.Sequential([am.layers.Input((3,)), am.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=choice)
    asked.clear()
    model.fit(np.ones((4, 3), "float32"), np.ones((4, 1), "float32"), batch_size=4, verbose=0)
    model.fit(np.ones((8, 3), "float32"), np.ones((8, 1), "float32"), batch_size=4, verbose=0)
    assert set(asked) == {wanted}


def test_a_loaded_model_leaves_it_to_the_backend():
    model = am.Sequential([am.layers.Input((3,)), am.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert model.get_compile_config()["jit_compile"] is True  # as Keras writes it
    model.compile_from_config(model.get_compile_config())
    assert model.jit_compile == "auto"


def test_other_values_are_errors():
    with pytest.raises(ValueError, match="jit_compile"):
        am.function(lambda x: x, jit_compile="yes")
    with pytest.raises(ValueError, match="jit_compile"):
        am.Sequential([am.layers.Dense(1)]).compile("sgd", "mse", jit_compile="yes")
