"""Every optimizer against the real Keras: ten steps with each option, state, configs; and the mistakes."""

from __future__ import annotations

import os
import warnings
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest

import amalthea as am

# The real Keras' variables do not know NumPy 2's `copy` argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
STEPS = 10
SHAPES = [(3, 4), (4,), ()]
NAMES = ["kernel", "bias", "scale"]

# (class, arguments): each rule with its own options ...
RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True, "momentum": 0.8, "rho": 0.7, "epsilon": 1e-3}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "epsilon": 1e-3}),
    ("Adadelta", {"rho": 0.8}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Ftrl", {}),
    (
        "Ftrl",
        {
            "learning_rate_power": -0.4,
            "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
    ),
    ("Lion", {}),
    ("Lion", {"beta_1": 0.5, "beta_2": 0.7}),
    ("Adafactor", {}),
    ("Lamb", {}),
    ("Muon", {}),
    ("Muon", {"nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.5, "exclude_layers": ["bias"]}),
    ("ScheduleFreeAdamW", {"warmup_steps": 3}),
]
# ... and what all rules share, on a rule without state and one with.
SHARED: list[dict[str, Any]] = [
    {"clipnorm": 0.5},
    {"clipvalue": 0.1},
    {"global_clipnorm": 0.7},
    {"weight_decay": 0.1},
    {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 2, "use_ema": True, "clipnorm": 0.5, "weight_decay": 0.01},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2},
    {"loss_scale_factor": 8.0},
]
CASES = [*RULES, *((rule, options) for rule in ("SGD", "Adam") for options in SHARED)]
IDS = [f"{rule}-{'-'.join(options) or 'plain'}-{i}" for i, (rule, options) in enumerate(CASES)]


def values(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=shape), "float32") for shape in SHAPES]


def variables(module: Any) -> list[Any]:
    return [module.Variable(value, name=name) for value, name in zip(values(), NAMES, strict=True)]


def pair(rule: str, options: dict[str, Any], learning_rate: Any = 0.05) -> tuple[Any, Any]:
    rates = learning_rate(am), learning_rate(keras)
    return tuple(
        getattr(module.optimizers, rule)(learning_rate=rate, **options)
        for module, rate in zip((am, keras), rates, strict=True)
    )


def compiled_apply(optimizer: Any, variables: list[Any]) -> Any:
    """`optimizer.apply` of the real Keras, compiled by JAX: what branches is compiled at each step otherwise."""
    if not optimizer.built:
        optimizer.build(variables)
    step = jax.jit(optimizer.stateless_apply)

    def apply(grads: list[np.ndarray]) -> None:
        own = [v.value for v in optimizer.variables]
        new = step(own, [jax.numpy.asarray(g) for g in grads], [v.value for v in variables])
        for group, results in zip((variables, optimizer.variables), new, strict=True):
            for variable, value in zip(group, results, strict=True):
                variable.assign(value)

    return apply


def constant(_: Any) -> float:
    return 0.05


def assert_close(ours: list[Any], theirs: list[Any]) -> None:
    assert [tuple(v.shape) for v in ours] == [tuple(v.shape) for v in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-5, atol=5e-6)


@pytest.mark.parametrize(("rule", "options"), CASES, ids=IDS)
def test_ten_steps_are_those_of_keras(rule, options):
    ours, theirs = pair(rule, options, constant)
    w, k = variables(am), variables(keras)
    apply = compiled_apply(theirs, k)
    for step in range(STEPS):
        grads = values(step + 1)
        ours.apply([am.ops.convert_to_tensor(g) for g in grads], w)
        apply(grads)
        assert_close(w, k)
    assert_close(ours.variables, theirs.variables)
    assert [v.dtype for v in ours.variables] == [v.dtype for v in theirs.variables]
    assert int(ours.iterations) == int(theirs.iterations)
    ours.finalize_variable_values(w)
    theirs.finalize_variable_values(k)
    assert_close(w, k)


@pytest.mark.parametrize(("rule", "options"), CASES, ids=IDS)
def test_a_traced_step_is_the_eager_one(rule, options):
    eager, traced = (getattr(am.optimizers, rule)(learning_rate=0.05, **options) for _ in range(2))
    w, t = variables(am), variables(am)
    step = am.function(lambda grads: traced.apply(grads, t))
    for i in range(4):
        grads = [am.ops.convert_to_tensor(g) for g in values(i + 1)]
        eager.apply(grads, w)
        step(grads)
    assert_close(t, w)
    assert_close(traced.variables, eager.variables)


@pytest.mark.parametrize(("rule", "options"), CASES, ids=IDS)
def test_configs_go_both_ways(rule, options):
    ours, theirs = pair(rule, {**options, "name": "mine"}, constant)
    written = am.optimizers.serialize(ours)
    assert written == keras.optimizers.serialize(theirs)
    again = am.optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()
    assert type(keras.saving.deserialize_keras_object(written)).__name__ == rule


SCHEDULES = {
    "exponential": lambda m: m.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5),
    "cosine": lambda m: m.optimizers.schedules.CosineDecay(0.01, 6, warmup_target=0.1, warmup_steps=3),
    "piecewise": lambda m: m.optimizers.schedules.PiecewiseConstantDecay([2, 5], [0.1, 0.05, 0.01]),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1}, {"gradient_accumulation_steps": 2}], ids=str)
def test_schedules_drive_the_steps(schedule, options):
    ours, theirs = pair("Adam", options, SCHEDULES[schedule])
    w, k = variables(am), variables(keras)
    apply = compiled_apply(theirs, k)
    for step in range(STEPS):
        ours.apply(values(step + 1), w)
        apply(values(step + 1))
    assert float(ours.learning_rate) == pytest.approx(float(theirs.learning_rate))
    assert_close(w, k)
    assert_close(ours.variables, theirs.variables)
    assert am.optimizers.serialize(ours) == keras.optimizers.serialize(theirs) | {
        "config": {**theirs.get_config(), "name": ours.name}
    }
    again = am.optimizers.deserialize(am.optimizers.serialize(ours))
    assert type(again._learning_rate).__name__ == type(theirs._learning_rate).__name__


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("Adam", {"use_ema": True, "gradient_accumulation_steps": 2, "amsgrad": True, "name": "a"}),
        ("Adafactor", {"name": "a"}),
        ("Nadam", {"name": "a"}),
    ],
)
def test_names_order_and_state_are_those_of_keras(rule, options):
    keras.backend.clear_session()  # the real Nadam's last variable is numbered
    ours, theirs = pair(rule, options, constant)
    w, k = variables(am), variables(keras)
    ours.build(w)
    theirs.build(k)
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    stored: dict[str, Any] = {}
    theirs.apply([keras.ops.convert_to_tensor(g) for g in values(5)], k)
    theirs.save_own_variables(stored)
    ours.load_own_variables(stored)
    assert_close(ours.variables, theirs.variables)
    ours.save_own_variables(stored)
    theirs.load_own_variables(stored)
    ours.set_weights([v.numpy() for v in ours.variables])
    with pytest.warns(UserWarning, match="skipped"):
        ours.load_own_variables({"0": 1})


def test_the_learning_rate_can_be_set_at_any_time():
    w = am.Variable([1.0])
    optimizer = am.optimizers.SGD(1.0)
    optimizer.apply([[0.25]], [w])
    optimizer.learning_rate = 2.0
    optimizer.apply([[0.25]], [w])
    assert w.numpy().tolist() == [0.25] and float(optimizer.learning_rate) == 2.0
    optimizer.learning_rate = am.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    assert [v.name for v in optimizer.variables] == ["iteration"]
    optimizer.apply([[1.0]], [w])
    assert w.numpy().tolist() == [0.125]
    rate = am.Variable(0.5, trainable=False)
    given = am.optimizers.SGD(rate)
    given.apply([[1.0]], [w])
    rate.assign(0.0)
    given.apply([[1.0]], [w])
    assert w.numpy().tolist() == [-0.375]


def test_what_users_compute_in_python_is_computed_at_each_step():
    rates = iter([1.0, 0.5, 0.25])
    w = am.Variable([0.0])
    optimizer = am.optimizers.SGD(lambda: next(rates))
    for expected in (-1.0, -1.5, -1.75):
        optimizer.apply([[1.0]], [w])
        assert w.numpy().tolist() == [expected]

    class Python(am.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 1.0 if int(step) == 0 else 0.0

    w.assign([0.0])
    optimizer = am.optimizers.SGD(Python())
    for _ in range(3):
        optimizer.apply([[1.0]], [w])
    assert w.numpy().tolist() == [-1.0]


def test_hyperparameters_can_be_changed_between_steps():
    w = am.Variable([0.0])
    optimizer = am.optimizers.SGD(1.0, clipvalue=0.5)
    optimizer.apply([[2.0]], [w])
    optimizer.clipvalue = 1.0
    optimizer.apply([[2.0]], [w])
    assert w.numpy().tolist() == [-1.5]


def test_an_update_is_traced_once():
    traced = []

    class Ours(am.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            traced.append(variable.name)
            self.assign_sub(variable, gradient * learning_rate)

    optimizer, w = Ours(0.5, name="ours"), variables(am)
    for step in range(3):
        assert int(optimizer.apply_gradients(zip(values(step), w, strict=True))) == step + 1
    assert traced == NAMES


@pytest.mark.parametrize("exclude", [{"var_names": ["bias"]}, {"var_list": True}], ids=str)
def test_variables_can_be_excluded_from_weight_decay(exclude):
    results = []
    for module in (am, keras):
        w = variables(module)
        optimizer = module.optimizers.AdamW(0.05, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(**({"var_list": w[:1]} if "var_list" in exclude else exclude))
        optimizer.apply([module.ops.convert_to_tensor(g) for g in values(3)], w)
        results.append(w)
    assert_close(*results)


def test_constraints_hold_after_a_step():
    w = am.Variable([1.0, -1.0])
    w.constraint = am.constraints.NonNeg()
    am.optimizers.SGD(0.5).apply([[1.0, 1.0]], [w])
    assert w.numpy().tolist() == [0.5, 0.0]


def test_missing_gradients_warn_once_and_leave_their_variable():
    w = variables(am)
    optimizer = am.optimizers.SGD(1.0)
    with pytest.warns(UserWarning, match="bias"):
        optimizer.apply([np.ones((3, 4), "float32"), None, 1.0], w)
    np.testing.assert_array_equal(w[1].numpy(), values()[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.apply([np.ones((3, 4), "float32"), None, 1.0], w)
    optimizer.apply([], w)
    assert int(optimizer.iterations) == 2


def test_variables_that_are_overwritten_by_their_gradient():
    for steps in (None, 2):
        w, scale = am.Variable([1.0]), am.Variable([3.0])
        scale.overwrite_with_gradient = True
        optimizer = am.optimizers.Adam(0.5, gradient_accumulation_steps=steps)
        optimizer.apply([[1.0], [7.0]], [w, scale])
        optimizer.apply([[1.0], [5.0]], [w, scale])
        assert scale.numpy().tolist() == ([7.0] if steps else [5.0])


def test_the_functional_form_assigns_nothing():
    ours, theirs = pair("Adam", {"weight_decay": 0.1}, constant)
    w, k = variables(am), variables(keras)
    ours.build(w)
    theirs.build(k)
    mine, yours = (
        ours.stateless_apply(ours.variables, values(1), w),
        theirs.stateless_apply(
            [v.value for v in theirs.variables],
            [keras.ops.convert_to_tensor(g) for g in values(1)],
            [v.value for v in k],
        ),
    )
    for a, b in zip(mine, yours, strict=True):
        assert_close(a, b)
    assert_close(w, values())
    traced = am.function(lambda state, grads, weights: ours.stateless_apply(state, grads, weights))
    again = traced([v.value for v in ours.variables], values(1), [v.value for v in w])
    assert_close(again[0], mine[0])
    assert_close(w, values())


def test_a_step_inside_a_tape_is_not_recorded():
    w = am.Variable([1.0])
    optimizer = am.optimizers.SGD(0.5)
    with am.GradientTape() as tape:
        loss = am.ops.sum(w * w)
        optimizer.apply([[1.0]], [w])
    assert tape.gradient(loss, w).numpy().tolist() == [2.0]


def test_loss_scaling_is_that_of_keras():
    results = []
    for module in (am, keras):
        inner = module.optimizers.Adam(0.05)
        optimizer = module.optimizers.LossScaleOptimizer(inner, initial_scale=16.0, dynamic_growth_steps=3)
        w, scales = variables(module), []
        optimizer.build(w)
        apply = compiled_apply(optimizer, w) if module is keras else lambda grads: optimizer.apply(grads, w)  # noqa: B023
        for step in range(8):
            grads = values(step + 1)
            if step == 4:
                grads[1][0] = np.inf
            scale = float(optimizer.scale_loss(1.0))
            apply([g * np.float32(scale) for g in grads])
            scales.append(float(optimizer.dynamic_scale))
        results.append((w, scales, optimizer))
    (w, scales, ours), (k, theirs_scales, theirs) = results
    assert scales == theirs_scales
    assert_close(w, k)
    assert_close(ours.variables, theirs.variables)
    assert float(ours.learning_rate) == pytest.approx(0.05) and int(ours.iterations) == int(theirs.iterations) == 7
    written, wanted = am.optimizers.serialize(ours), keras.optimizers.serialize(theirs)
    for config in (written, wanted):
        config["config"]["name"] = config["config"]["inner_optimizer"]["config"]["name"] = "same"
    assert written == wanted
    assert type(am.optimizers.deserialize(written).inner_optimizer) is am.optimizers.Adam
    ours.learning_rate = 0.5
    assert float(ours.inner_optimizer.learning_rate) == 0.5


def test_names_stand_for_optimizers_as_in_keras():
    for name in ("sgd", "Adam", "ADAMW", "rmsprop", "adagrad", "lion", "nadam", "ftrl", "adafactor"):
        assert type(am.optimizers.get(name)).__name__ == type(keras.optimizers.get(name)).__name__
    optimizer = am.optimizers.get({"class_name": "SGD", "config": {"learning_rate": 0.5}})
    assert am.optimizers.get(optimizer) is optimizer and float(optimizer.learning_rate) == 0.5
    assert am.optimizers.get(None) is None


class Late(am.optimizers.Optimizer):
    def __init__(self):
        self.momentum = 0.9


def built() -> Any:
    optimizer = am.optimizers.SGD(0.1)
    optimizer.build([am.Variable([1.0], name="w")])
    return optimizer


MISTAKES = [
    (lambda: am.optimizers.get("adma"), ValueError, ["'adma'", "'Adam'", "Fix"]),
    (lambda: am.optimizers.get(3), ValueError, ["3", "int", "Fix"]),
    (lambda: am.optimizers.Adam("fast"), ValueError, ["'fast'", "str", "Fix"]),
    (lambda: am.optimizers.Adam(True), ValueError, ["True", "Fix"]),
    (lambda: am.optimizers.Adam(lr=0.1), ValueError, ["['lr']", "Fix"]),
    (lambda: am.optimizers.Adam(clipnorm=1.0, clipvalue=1.0), ValueError, ["one way", "'clipvalue': 1.0", "Fix"]),
    (lambda: am.optimizers.Adam(gradient_accumulation_steps=1), ValueError, ["at least 2", "1", "Fix"]),
    (lambda: am.optimizers.Adam(use_ema=True, ema_momentum=2), ValueError, ["ema_momentum", "2", "Fix"]),
    (lambda: am.optimizers.Adam(use_ema=True, ema_overwrite_frequency=0.5), ValueError, ["0.5", "Fix"]),
    (lambda: am.optimizers.SGD(momentum=1.5), ValueError, ["momentum=1.5", "Fix"]),
    (lambda: am.optimizers.AdamW(weight_decay=None), ValueError, ["weight_decay=None", "Fix"]),
    (lambda: am.optimizers.Lion(beta_1=0.0), ValueError, ["beta_1=0.0", "Fix"]),
    (lambda: am.optimizers.Ftrl(learning_rate_power=1.0), ValueError, ["learning_rate_power=1.0", "Fix"]),
    (lambda: am.optimizers.LossScaleOptimizer(built(), clipnorm=1.0), ValueError, ["clipnorm", "inner", "Fix"]),
    (lambda: Late(), RuntimeError, ["super().__init__()"]),
    (lambda: am.optimizers.Optimizer(0.1).apply([1.0], [am.Variable(1.0)]), NotImplementedError, ["update_step"]),
    (lambda: am.optimizers.SGD().apply([[1.0]]), ValueError, ["built", "1 gradients", "Fix"]),
    (lambda: built().apply([[1.0]], [am.Variable([2.0], name="other")]), ValueError, ["'other'", "Fix"]),
    (lambda: built().apply([[1.0], [2.0]]), ValueError, ["2 gradients", "1 variables", "Fix"]),
    (lambda: built().apply([None]), ValueError, ["['w']", "tape", "Fix"]),
    (lambda: built().apply([[1.0, 2.0]]), ValueError, ["'w'", "(2,)", "(1,)", "Fix"]),
    (lambda: am.optimizers.SGD().apply([[1.0]], [am.Variable([1])]), TypeError, ["int32", "trainable=False"]),
    (lambda: setattr(am.optimizers.SGD(lambda: 0.1), "learning_rate", 0.5), TypeError, ["0.5", "Fix"]),
    (lambda: built().stateless_apply([], [[1.0]], [[1.0]]), ValueError, ["optimizer_variables", "0 values", "Fix"]),
    (lambda: am.optimizers.SGD().stateless_apply([], [], []), ValueError, ["build", "Fix"]),
    (lambda: am.optimizers.SGD().set_weights([]), ValueError, ["build", "Fix"]),
]


@pytest.mark.parametrize(("mistake", "kind", "parts"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_gets_an_error_that_says_how_to_mend_it(mistake, kind, parts):
    with pytest.raises(kind) as error:
        mistake()
    assert all(part in str(error.value) for part in parts), str(error.value)
