"""`am.function`: a Python function traced once per signature into a graph and run as one compiled program."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from amalthea.core import config, dtypes, foreign, tree
from amalthea.core.backend import active, kept_ops
from amalthea.core.context import context, no_tapes
from amalthea.core.errors import ArgumentError, ShapeError, fail
from amalthea.core.graph import Graph, build
from amalthea.core.linearize import linearize
from amalthea.core.loans import LENT, Lending
from amalthea.core.node import Slot, fill
from amalthea.core.spec import TensorSpec
from amalthea.core.tensor import KerasTensor, Operand, Tensor, array_of, as_tensor, wrap
from amalthea.core.tracing import Trace
from amalthea.core.variable import Variable, trainability_epoch

_WARN_AFTER = 8
KEPT = 256
"""Signatures of a function whose programs are kept, some hundred kilobytes each; the oldest goes."""


class _Compiled:
    """A graph, its program on one backend, and the variables it was traced with.

    The program reads fewer variables than the graph where an op uses only the shape of one.
    """

    def __init__(self, graph: Graph, jit_compile: bool | None) -> None:
        self.graph = graph
        self.variables = graph.variables
        self.targets = [graph.variables[i] for i, _ in graph.updates]
        self.n_outputs = len(graph.outputs)
        opened = graph.expand("primitive", keep=kept_ops())
        self.read = opened.variables
        self.program: Any = active.backend.compile(opened, jit_compile)
        in_place: Mapping[int, int] = getattr(self.program, "in_place", {})
        first = len(opened.all_inputs) - len(opened.state_inputs)
        self.overwritten = {
            place - first: out for out, place in in_place.items() if opened.all_inputs[place].spec.size >= LENT
        }
        self.trainable = tuple(v._trainable for v in self.variables)
        self.epoch = trainability_epoch()

    def current(self) -> bool:
        """Whether the variables are still trainable or frozen as when it was traced."""
        if self.epoch != trainability_epoch():
            if self.trainable != tuple(v._trainable for v in self.variables):
                return False
            self.epoch = trainability_epoch()
        return True

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        arrays = [array_of(t) for t in tensors]
        if not self.overwritten:
            results = self.program([*arrays, *(array_of(v._current()) for v in self.read)])
            self._assign(results, set())
            return [wrap(array) for array in results[: self.n_outputs]]
        with Lending(self.read, self.overwritten) as lent:
            owned = {len(arrays) + place for place in lent.owned}
            try:
                lent.results = self.program([*arrays, *lent.arrays], owned)
            except BaseException as interruption:
                lent.results = getattr(interruption, "outputs", None)
                raise
            finally:
                if lent.results is not None:
                    self._assign(lent.results, {self.overwritten[place] for place in lent.owned})
            return [wrap(array) for array in lent.results[: self.n_outputs]]

    def _assign(self, results: Sequence[Any], returned: Container[int]) -> None:
        """Give variables their new values, except those that get theirs when what was lent is `returned`."""
        for i, variable in enumerate(self.targets, self.n_outputs):
            if i not in returned:
                variable._tensor = wrap(results[i])


class _Taped:
    """A graph's two halves, for a tape; its gradient may be asked for on another backend or device than its outputs."""

    def __init__(self, graph: Graph, jit_compile: bool | None) -> None:
        self.split, self.jit_compile = linearize(graph), jit_compile
        self.forward = _Compiled(self.split.forward, jit_compile)
        self._backward: dict[Any, _Compiled] = {}

    def backward(self) -> _Compiled:
        key = active.backend.name, config.code_settings()
        found = self._backward.get(key)
        if found is None:
            found = self._backward[key] = _Compiled(self.split.backward, self.jit_compile)
        return found


class Function:
    """A function that runs as a compiled graph; see `function`."""

    def __init__(
        self,
        python_function: Callable[..., Any],
        input_signature: Sequence[Any] | None = None,
        jit_compile: bool | None = None,
        name: str | None = None,
    ) -> None:
        self.python_function, self.jit_compile = python_function, jit_compile
        self.input_signature = None if input_signature is None else tuple(input_signature)
        self.name: str = name or str(getattr(python_function, "__name__", type(python_function).__name__))
        self._compiled: dict[Any, list[_Compiled]] = {}
        self._derivatives: dict[Graph, _Taped] = {}
        self._by_instance: dict[int, tuple[Any, Any, Any]] = {}
        self._traced: dict[str, tuple[int, Any]] = {}  # how often for each backend, and the key of the last time
        self._attribute: str | None = None
        functools.update_wrapper(self, python_function, updated=())

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        method = self.python_function.__get__(instance, owner)
        bound = Function(method, self.input_signature, self.jit_compile, self.name)
        if hasattr(instance, "__dict__"):
            if self._attribute is not None:
                instance.__dict__[self._attribute] = bound  # found there from now on: one set of graphs per object
        else:
            bound._compiled, bound._derivatives = self._graphs_of(instance)
        return bound

    def _graphs_of(self, instance: Any) -> tuple[Any, Any]:
        """The graphs of an object whose class has `__slots__`, kept for as long as the object lives."""
        key = id(instance)
        found = self._by_instance.get(key)
        if found is None:
            try:
                alive = weakref.ref(instance, lambda _: self._by_instance.pop(key, None))
            except TypeError:
                fail(
                    ArgumentError,
                    f"graphs cannot be kept for an object of class {type(instance).__name__}, which has __slots__ "
                    "and takes no weak references",
                    where=self.name,
                    received=f"__slots__ = {getattr(type(instance), '__slots__', ())!r}",
                    fix="add '__weakref__' or '__dict__' to its __slots__",
                )
            found = self._by_instance[key] = (alive, {}, {})
        return found[1:]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if context.trace is not None:
            return self.python_function(*args, **kwargs)
        if self.input_signature is not None:
            args = tuple([_as_specs(*pair) for pair in zip(args, self.input_signature, strict=False)]) + tuple(
                args[len(self.input_signature) :]
            )
        tensors: list[Tensor] = []
        template = _template((args, kwargs), tensors)
        for tensor in tensors:
            if isinstance(tensor, KerasTensor):
                return self.python_function(*args, **kwargs)
        self._check_signature(tensors)
        compiled = self._find(template, tensors)
        if context.tapes and len(context.tapes) == 1 and not context.tapes[0]._persistent:
            if self._depends(compiled, tensors):
                return fill(compiled.graph.structure, self._run_taped(compiled, tensors))
        elif context.tapes and self._depends(compiled, tensors):
            return self.python_function(*args, **kwargs)
        return fill(compiled.graph.structure, compiled.run(tensors))

    def _depends(self, compiled: _Compiled, tensors: list[Tensor]) -> bool:
        return any(
            tape._watches(tensors) or (tape._watch_accessed and any(v._trainable for v in compiled.variables))
            for tape in context.tapes
        )

    def get_graph(self, *args: Any, **kwargs: Any) -> Graph:
        """The graph that a call with these arguments runs (specs may stand for tensors)."""
        tensors: list[Any] = []
        template = _template((args, kwargs), tensors)
        return self._trace(template, [TensorSpec(t.shape, t.dtype) for t in tensors])

    def _check_signature(self, tensors: list[Tensor]) -> None:
        if self.input_signature is None:
            return
        specs = _specs(self.input_signature)
        if len(tensors) != len(specs):
            fail(
                ArgumentError,
                f"the function's input_signature has {len(specs)} tensors",
                where=self.name,
                received=f"{len(tensors)} tensors",
            )
        for i, (tensor, spec) in enumerate(zip(tensors, specs, strict=True)):
            fits = len(tensor.shape) == len(spec.shape) and all(
                want is None or want == got for want, got in zip(spec.shape, tensor.shape, strict=True)
            )
            if not fits or tensor.dtype != spec.dtype:
                fail(
                    ShapeError,
                    f"argument {i} does not fit the input_signature {spec}",
                    where=self.name,
                    received=repr(TensorSpec(tensor.shape, tensor.dtype)),
                )

    def _find(self, template: Any, tensors: list[Tensor]) -> _Compiled:
        key = (
            (active.backend.name, config.code_settings()),
            dtypes._floatx,
            context.autocast,
            tuple([(t.shape, t._array.dtype) for t in tensors]),
            _key(template),
        )
        try:
            entries = self._compiled.get(key)
        except TypeError:
            fail(
                ArgumentError,
                "an argument that is not a tensor cannot be hashed, so its graph cannot be found again",
                where=self.name,
                received=", ".join(type(leaf).__name__ for leaf in tree.flatten(template)),
                fix="pass numbers, strings and tuples, or tensors",
            )
        if entries is None:
            if len(self._compiled) >= KEPT:
                for old in self._compiled.pop(next(iter(self._compiled))):
                    self._derivatives.pop(old.graph, None)
            entries = self._compiled[key] = []
        for entry in entries:
            if entry.current():
                return entry
        entry = _Compiled(
            self._trace(template, [TensorSpec(t.shape, t.dtype) for t in tensors]).verify(), self.jit_compile
        )
        entries.append(entry)
        self._count(key)
        return entry

    def _count(self, key: Any) -> None:
        backend = active.backend.name
        times, last = self._traced.get(backend, (0, None))
        if times + 1 == _WARN_AFTER:
            warnings.warn(
                f"[function] {self.name} was traced {times + 1} times; tracing is slow. The last time because "
                f"{_difference(last, key)}. Fix: pass tensors instead of Python numbers, keep shapes the "
                "same (e.g. drop the last partial batch), and make the function outside of loops.",
                stacklevel=4,
            )
        self._traced[backend] = times + 1, key

    def _trace(self, template: Any, specs: list[TensorSpec]) -> Graph:
        with no_tapes(), Trace(level="op") as trace:
            inputs = [trace.input(spec) for spec in specs]
            args, kwargs = fill(template, inputs)
            result = self.python_function(*args, **kwargs)
            result = tree.map_structure(lambda leaf: leaf._own() if isinstance(leaf, Variable) else leaf, result)
        return build(self.name, inputs, result, trace)

    def _run_taped(self, compiled: _Compiled, tensors: list[Tensor]) -> list[Tensor]:
        """Run so that the one active tape can differentiate through the whole call."""
        found = self._derivatives.get(compiled.graph)
        if found is None:
            found = self._derivatives[compiled.graph] = _Taped(compiled.graph, self.jit_compile)
        split = found.split
        variables = [v for v in compiled.variables]
        reads = [v._own() for v in variables]
        results = found.forward.run(tensors)
        outputs, residuals = results[: split.outputs], results[split.outputs :]

        def pull(g: list[Tensor]) -> list[Tensor | None]:
            seeds = [gi for gi, take in zip(g, split.cotangents, strict=True) if take]
            grads = found.backward().run([*residuals, *seeds])
            return [None if place is None else grads[place] for place in split.grads_for]

        for tape in context.tapes:
            tape._record(pull, [*tensors, *reads], outputs, {})
        return outputs


def _as_specs(given: Any, spec: Any) -> Any:
    """Numbers and lists of numbers in the place of a `TensorSpec` as tensors of its dtype."""
    if not isinstance(spec, TensorSpec):
        if isinstance(spec, dict) and isinstance(given, dict) and given.keys() == spec.keys():
            return {name: _as_specs(given[name], spec[name]) for name in spec}
        if isinstance(spec, (list, tuple)) and isinstance(given, (list, tuple)) and len(spec) == len(given):
            return type(given)([_as_specs(*pair) for pair in zip(given, spec, strict=True)])
        return given
    if not isinstance(given, (list, tuple, bool, int, float)):
        return given
    tensor = as_tensor(given)
    both_integers = dtypes.is_integer(tensor.dtype) and dtypes.is_integer(spec.dtype)
    return as_tensor(tensor, spec.dtype) if both_integers or dtypes.is_floating(spec.dtype) else tensor


def _specs(structure: Any) -> list[Any]:
    """The specs of an input signature in the order in which `_template` finds tensors."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, (list, tuple)):
        return [spec for item in structure for spec in _specs(item)]
    return [structure]


def _template(structure: Any, tensors: list[Any]) -> Any:
    """The arguments with a `Slot` for each tensor or array, which are appended to `tensors`."""
    if isinstance(structure, (Tensor, TensorSpec)):
        tensors.append(structure)
        return Slot(len(tensors) - 1)
    if isinstance(structure, dict):
        return {name: _template(item, tensors) for name, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        items = [_template(item, tensors) for item in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*items)
        return tuple(items) if isinstance(structure, tuple) else items
    if not isinstance(structure, Operand) and foreign.is_array(structure):
        tensors.append(as_tensor(structure))
        return Slot(len(tensors) - 1)
    return structure


def _key(structure: Any) -> Any:
    if type(structure) is Slot:
        return structure
    if isinstance(structure, dict):
        return ("dict", *[(name, _key(item)) for name, item in structure.items()])
    if isinstance(structure, (list, tuple)):
        return (type(structure), *[_key(item) for item in structure])
    if isinstance(structure, (bool, int, float)):
        # 0.0 equals -0.0, and NaN not even itself: their names tell them apart
        return (type(structure), structure if structure and structure == structure else repr(structure))
    return structure


def _difference(old: Any, new: Any) -> str:
    if old[3] != new[3]:
        return f"shapes or dtypes changed from {_shapes(old[3])} to {_shapes(new[3])}"
    if old[4] != new[4]:
        return "a Python argument changed its value"
    if old[:3] != new[:3]:
        return "the backend, the device, the default dtype or a setting of the compiler changed"
    return "a variable became trainable or was frozen"


def _shapes(key: Any) -> str:
    return ", ".join(f"{dtypes.from_numpy(dtype)}{list(shape)}" for shape, dtype in key)


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Sequence[Any] | None = None,
    *,
    autograph: bool = False,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    name: str | None = None,
) -> Any:
    """Compile a function of tensors: it is traced once per signature and then runs as one program.

    The signature is the shapes and dtypes of tensor arguments, the values of all other arguments and which variables
    are trainable. Variables read and assigned inside become state of the program, so the same code runs eagerly and
    compiled. May be used as a decorator, on methods too.

    Args:
        func: the function.
        input_signature: `TensorSpec`s that the tensor arguments must fit; numbers and lists in their places become
            tensors.
        jit_compile: whether the backend also uses a compiler that is slow to start: `torch.compile` on torch, XLA on
            tensorflow. None, the default, is the backend's own choice; native and jax always compile.
        autograph, reduce_retracing: accepted as TensorFlow has them; Python control flow on tensors is never rewritten
            (use `ops.cond`, `ops.while_loop`, `ops.scan`).
        name: its name in errors.

    >>> import amalthea as am
    >>> @am.function
    ... def double(x):
    ...     return x * 2.0
    >>> double(am.ops.ones((2,))).numpy().tolist()
    [2.0, 2.0]
    """
    if func is None:
        return lambda f: function(f, input_signature, jit_compile=jit_compile, name=name)
    if not callable(func):
        fail(ArgumentError, "only a callable can be compiled", where="function", received=repr(func)[:80])
    if jit_compile not in (None, True, False):
        fail(ArgumentError, "`jit_compile` must be True, False or None", where="function", received=repr(jit_compile))
    return Function(func, input_signature, jit_compile, name)
