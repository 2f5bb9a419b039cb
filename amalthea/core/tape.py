"""`GradientTape`: records ops on the tensors it watches and differentiates backwards through them.

On concrete tensors it differentiates eager code; on symbolic ones the very same steps put the backward pass into the
graph that is being traced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from amalthea.core import dtypes, tape_programs, tree
from amalthea.core.arguments import constant
from amalthea.core.context import context
from amalthea.core.errors import AmaltheaError, ArgumentError, GradientError, ShapeError, fail
from amalthea.core.registry import registry
from amalthea.core.tensor import KerasTensor, Operand, Tensor, as_tensor, key_of
from amalthea.core.variable import Variable


class GradientTape:
    """Records the ops inside its `with` block for differentiation.

    Args:
        persistent: whether `gradient` may be called more than once.
        watch_accessed_variables: whether trainable variables that are read are watched by themselves.

    >>> import amalthea as am
    >>> x = am.Variable(3.0)
    >>> with am.GradientTape() as tape:
    ...     y = x * x
    >>> float(tape.gradient(y, x))
    6.0
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._recording = False
        self._used = False
        self._clear()

    def _clear(self) -> None:
        self._records: list[tape_programs.Record] = []
        self._live: dict[int, Any] = {}  # what is watched or depends on it, by key; keeps the objects alive
        self._reads: dict[int, tuple[Variable, list[Tensor]]] = {}

    # Recording

    def __enter__(self) -> GradientTape:
        if self._recording:
            fail(GradientError, "the tape is recording already", where="GradientTape", fix="use a new tape")
        self._start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._recording:
            self._stop()

    def _start(self) -> None:
        self._recording = True
        context.enter(tapes=(*context.tapes, self))

    def _stop(self) -> None:
        self._recording = False
        context.enter(tapes=tuple(t for t in context.tapes if t is not self))

    def watch(self, tensor: Any) -> None:
        """Watch a floating tensor or variable, or a structure of them."""
        for leaf in tree.flatten(tensor):
            if isinstance(leaf, Variable):
                self._reads.setdefault(id(leaf), (leaf, []))
                continue
            if not isinstance(leaf, Tensor):
                fail(
                    ArgumentError,
                    "only tensors and variables can be watched",
                    where="GradientTape.watch",
                    received=type(leaf).__name__,
                    fix="convert it first: x = am.ops.convert_to_tensor(x)",
                )
            if not dtypes.is_floating(leaf.dtype):
                fail(
                    GradientError,
                    "only floating tensors have gradients",
                    where="GradientTape.watch",
                    received=f"dtype {leaf.dtype}",
                    fix="cast it with ops.cast(x, 'float32')",
                )
            self._live[key_of(leaf)] = _anchor(leaf)

    def stop_recording(self) -> Any:
        """A context in which this tape records nothing."""
        return _Paused(self)

    def reset(self) -> None:
        """Forget all that was recorded and watched."""
        self._clear()
        self._used = False

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables watched so far, in the order they were first read."""
        return tuple(variable for variable, _ in self._reads.values())

    def _accessed(self, variable: Variable, tensor: Tensor) -> None:
        """A variable was read while this tape records."""
        found = self._reads.get(id(variable))
        if found is None:
            if not (self._watch_accessed and variable._trainable and variable._floating):
                return
            found = self._reads[id(variable)] = (variable, [])
        key = key_of(tensor)
        if key not in self._live or all(key_of(t) != key for t in found[1]):
            self._live[key] = _anchor(tensor)
            found[1].append(tensor)

    def _watches(self, tensors: Iterable[Any]) -> bool:
        live = self._live
        return any(key_of(t) in live for t in tensors)

    def _record(self, op: Any, inputs: Sequence[Any], out: Any, attrs: dict[str, Any], plan: Any = None) -> None:
        """Remember a call whose output (or one of whose outputs) is floating, if an input is watched.

        `plan` stands for the op, the attributes and the inputs' shapes and dtypes where there is such an object.
        """
        live = self._live
        for x in inputs:
            if (id(x._value) if type(x) is KerasTensor else id(x)) in live:
                break
        else:
            return
        if type(out) is Tensor:
            live[id(out)] = out
        elif type(out) is KerasTensor:
            live[id(out._value)] = out._value
        else:
            outs = [t for t in tree.flatten(out) if isinstance(t, Tensor)]
            if not any(t.dtype.is_floating for t in outs):
                return
            for t in outs:
                live[key_of(t)] = _anchor(t)
        self._records.append((op, inputs, out, attrs, plan))

    # Differentiating

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: str = "none"
    ) -> Any:
        """The gradient of the sum of `target` with respect to each of `sources`.

        Args:
            target: a tensor, or a structure of tensors whose gradients are added up; integer tensors among floating
                ones have no gradient and are passed over.
            sources: a tensor or variable, or any nested structure of them.
            output_gradients: what to multiply with at the target, in its structure and shapes; default ones. Lists of
                numbers count as tensors.
            unconnected_gradients: what sources get that the target does not depend on: "none" for None, "zero".

        Returns:
            Gradients in the structure of `sources`, each of its source's shape and dtype.
        """
        if unconnected_gradients not in ("none", "zero"):
            fail(
                ArgumentError,
                "unconnected_gradients is 'none' or 'zero'",
                where="GradientTape.gradient",
                received=repr(unconnected_gradients),
            )
        if self._used and not self._persistent:
            fail(
                GradientError,
                "a tape that is not persistent gives gradients once",
                where="GradientTape.gradient",
                fix="make it with GradientTape(persistent=True), or ask for all gradients in one call",
            )
        if self._recording and not self._persistent:
            self._stop()
            try:
                return self._gradient(target, sources, output_gradients, unconnected_gradients)
            finally:
                self._start()
        return self._gradient(target, sources, output_gradients, unconnected_gradients)

    def _gradient(self, target: Any, sources: Any, output_gradients: Any, unconnected_gradients: str) -> Any:
        before = context.enter(autocast=None)
        try:
            grads = self._seed(target, output_gradients)
            flat = tree.flatten(sources)
            wanted = [self._source_ids(source) for source in flat]
            found = None
            if not context.busy and not self._persistent:
                found = tape_programs.gradients(self._records, self._live, grads, wanted, walk_back)
            if found is None:
                walk_back(self._records, self._live, grads, {key for keys in wanted for key in keys})
                found = [self._result(grads, keys) for keys in wanted]
            if unconnected_gradients == "zero":
                found = [registry["zeros_like"](s) if g is None else g for g, s in zip(found, flat, strict=True)]
        finally:
            context.restore(before)
        if not self._persistent:
            self._used = True
            self._clear()
        return tree.pack(sources, found)

    def _seed(self, target: Any, output_gradients: Any) -> dict[int, Tensor]:
        targets = tree.flatten(target)
        given = [None] * len(targets) if output_gradients is None else _like_targets(target, output_gradients)
        if len(given) != len(targets):
            fail(
                ArgumentError,
                "output_gradients does not have the structure of target",
                where="GradientTape.gradient",
                received=f"{len(given)} gradients for {len(targets)} targets",
            )
        grads: dict[int, Tensor] = {}
        for t, g in zip(targets, given, strict=True):
            if not isinstance(t, Operand):
                fail(
                    ArgumentError,
                    "the target of a gradient is a tensor",
                    where="GradientTape.gradient",
                    received=type(t).__name__,
                    fix="return the loss as a tensor, computed inside the tape",
                )
            if not dtypes.is_floating(t.dtype):
                if any(isinstance(other, Operand) and dtypes.is_floating(other.dtype) for other in targets):
                    continue
                fail(
                    GradientError,
                    "only a floating target has gradients",
                    where="GradientTape.gradient",
                    received=f"dtype {t.dtype}",
                    fix="differentiate what it was computed from, before it was rounded or cast to integers",
                )
            keys = self._source_ids(t)
            g = _ones(t) if g is None else as_tensor(g, t.dtype)
            if tuple(g.shape) != tuple(t.shape):
                fail(
                    ShapeError,
                    "an output gradient has the shape of its target",
                    where="GradientTape.gradient",
                    received=f"gradient {tuple(g.shape)}, target {tuple(t.shape)}",
                )
            for key in keys[-1:]:
                grads[key] = grads[key] + g if key in grads else g
        return grads

    def _source_ids(self, source: Any) -> list[int]:
        if isinstance(source, Variable):
            found = self._reads.get(id(source))
            return [key_of(t) for t in found[1]] if found else []
        if not isinstance(source, Operand):
            fail(
                ArgumentError,
                "a source of a gradient is a tensor or a variable",
                where="GradientTape.gradient",
                received=type(source).__name__,
                fix="convert it before the tape: x = am.ops.convert_to_tensor(x), and tape.watch(x)",
            )
        return [key_of(source)]

    def _result(self, grads: dict[int, Tensor], keys: list[int]) -> Any:
        total = None
        for key in keys:
            if key in grads:
                total = grads[key] if total is None else total + grads[key]
        return total

    def jacobian(
        self,
        target: Tensor,
        sources: Any,
        unconnected_gradients: str = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The derivative of every element of `target` with respect to every element of each source.

        Returns:
            In the structure of `sources`, tensors of shape `target.shape + source.shape`.
        """
        size = int(as_tensor(target).size)
        # A target without elements has no rows; one gradient tells which sources it depends on.
        none = [] if size else [self._keep(target, sources, registry["ones_like"](target), unconnected_gradients)]
        from_rows = none or [self._row(target, sources, i, unconnected_gradients) for i in range(size)]
        self._finish()
        stack, reshape = registry["stack"], registry["reshape"]
        results: list[Any] = []
        for place, source in enumerate(tree.flatten(sources)):
            rows = [tree.flatten(row)[place] for row in from_rows]
            if any(row is None for row in rows):
                results.append(None)
            elif none:
                shape = (*target.shape, *source.shape)
                results.append(as_tensor(np.zeros(shape, dtypes.to_numpy(source.dtype))))
            else:
                results.append(reshape(stack(rows), (*target.shape, *source.shape)))
        return tree.pack(sources, results)

    def batch_jacobian(
        self,
        target: Tensor,
        source: Tensor,
        unconnected_gradients: str = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """The Jacobian of each example: `target` (batch, ...), `source` (batch, ...) give (batch, ..., ...).

        Row b of the target must depend on row b of the source alone.
        """
        if not target.shape or not source.shape or target.shape[0] != source.shape[0]:
            fail(
                ShapeError,
                "target and source need the same first (batch) axis",
                where="GradientTape.batch_jacobian",
                received=f"target {target.shape}, source {source.shape}",
            )
        batch, inner = target.shape[0], tuple(target.shape[1:])
        size = 1
        for d in inner:
            size *= d
        reshape, stack, zeros = registry["reshape"], registry["stack"], registry["zeros_like"]
        columns = []
        for i in range(size):
            seed = _one_hot_columns(target, batch, size, i)
            found = self._keep(target, source, reshape(seed, target.shape), unconnected_gradients)
            columns.append(found)
        self._finish()
        if any(c is None for c in columns):
            return None
        if not columns:
            return reshape(zeros(source), (batch, *inner, *source.shape[1:]))
        return reshape(stack(columns, axis=1), (batch, *inner, *source.shape[1:]))

    def _row(self, target: Tensor, sources: Any, i: int, unconnected: str) -> Any:
        seed = registry["reshape"](_one_hot(target, i), tuple(target.shape))
        return self._keep(target, sources, seed, unconnected)

    def _keep(self, target: Any, sources: Any, seed: Tensor, unconnected: str) -> Any:
        """A gradient that leaves the records in place."""
        if self._used and not self._persistent:
            fail(GradientError, "a tape that is not persistent gives gradients once", where="GradientTape.jacobian")
        persistent, recording = self._persistent, self._recording
        self._persistent = True
        if recording and not persistent:
            self._stop()
        try:
            return self.gradient(target, sources, seed, unconnected)
        finally:
            self._persistent = persistent
            if recording and not persistent:
                self._start()

    def _finish(self) -> None:
        if not self._persistent:
            self._used = True
            self._clear()


def _like_targets(target: Any, given: Any) -> list[Any]:
    """The output gradients as a flat list; a list of numbers in a tensor's place is one gradient."""
    if not isinstance(given, (list, tuple)):
        return tree.flatten(given)
    if isinstance(target, Operand):
        numbers = not any(isinstance(leaf, (Operand, np.ndarray)) for leaf in tree.flatten(given))
        return [as_tensor(given)] if numbers else tree.flatten(given)
    if isinstance(target, (list, tuple)) and len(target) == len(given):
        return [g for t, part in zip(target, given, strict=True) for g in _like_targets(t, part)]
    return tree.flatten(given)


def _anchor(tensor: Tensor) -> Any:
    """The object whose identity is the tensor's key."""
    return tensor._value if type(tensor) is KerasTensor else tensor


def walk_back(
    records: list[tape_programs.Record], live: dict[int, Any], grads: dict[int, Any], sources: set[int]
) -> None:
    """Go back through recorded calls and add to `grads`, by key, the gradients of what was watched.

    Those of `sources` are kept, others dropped when they were used.
    """
    for op, inputs, out, attrs, _ in reversed(list(records)):
        g: Any
        if isinstance(out, Tensor):
            key = key_of(out)
            g = grads.get(key)
            if g is None:
                continue
            if key not in sources:
                del grads[key]
        else:
            g = _output_gradients(out, grads, sources)
            if g is None:
                continue
        keys = [key_of(x) for x in inputs]
        try:
            found = _pull(op, g, out, inputs, attrs, [key in live for key in keys])
        except AmaltheaError as error:
            if not isinstance(error, GradientError):  # such an error of a rule names the function that the user called
                error.where = f"gradient of {getattr(op, 'name', 'function')}"
            raise
        for x, key, gx in zip(inputs, keys, found, strict=True):
            if gx is not None and key in live:
                gx = _fitted(gx, x)
                before = grads.get(key)
                grads[key] = gx if before is None else before + gx


def _output_gradients(out: Any, grads: dict[int, Tensor], sources: set[int]) -> Any:
    """The gradients of a structure of outputs, zeros where only some have one; None if none has."""
    outs = tree.flatten(out)
    parts = [grads.get(key_of(t)) if key_of(t) in sources else grads.pop(key_of(t), None) for t in outs]
    if all(part is None for part in parts):
        return None
    filled = [
        registry["zeros_like"](t) if part is None and isinstance(t, Tensor) else part
        for part, t in zip(parts, outs, strict=True)
    ]
    return tree.pack(out, filled)


def _pull(op: Any, g: Any, out: Any, inputs: Sequence[Any], attrs: dict[str, Any], needed: list[bool]) -> Sequence[Any]:
    """The gradients of a recorded call's inputs. `op` is an op, or a function of the output's gradients."""
    rule = getattr(op, "gradient", None)
    if type(rule) is tuple:
        return [
            part(g, out, *inputs, **attrs) if need and part is not None else None
            for part, need in zip(rule, needed, strict=True)
        ]
    found: Any = op(g) if rule is None else rule(g, out, *inputs, **attrs)
    if not isinstance(found, (tuple, list)):
        found = [found]
    if len(found) != len(inputs):
        raise TypeError(f"[gradient of {op}] {len(found)} gradients for {len(inputs)} inputs")
    gradients: Sequence[Any] = found
    return gradients


def _ones(target: Any) -> Tensor:
    if type(target) is Tensor and target.shape == ():
        return constant(1.0, target.dtype)
    ones: Tensor = registry["ones_like"](target)
    return ones


class _Paused:
    def __init__(self, tape: GradientTape) -> None:
        self.tape = tape

    def __enter__(self) -> None:
        self.was = self.tape._recording
        if self.was:
            self.tape._stop()

    def __exit__(self, *error: Any) -> None:
        if self.was:
            self.tape._start()


def _one_hot(target: Tensor, i: int) -> Tensor:
    seed = np.zeros(int(target.size), dtypes.to_numpy(target.dtype))
    seed[i] = 1
    return as_tensor(seed)


def _one_hot_columns(target: Tensor, batch: int, size: int, i: int) -> Tensor:
    seed = np.zeros((batch, size), dtypes.to_numpy(target.dtype))
    seed[:, i] = 1
    return as_tensor(seed)


def _fitted(g: Tensor, x: Any) -> Tensor:
    """The gradient summed over the axes along which its input was broadcast, in the input's dtype."""
    if type(g) is Tensor and type(x) is Tensor:
        ga, xa = g._array, x._array
        if ga.shape == xa.shape and ga.dtype == xa.dtype:
            return g
    g = as_tensor(g)
    shape = getattr(x, "shape", ())
    if g.shape != shape:
        g = sum_to(g, tuple(shape))
    dtype = getattr(x, "dtype", None)
    return g if dtype is None or g.dtype == dtype else as_tensor(g, dtype)


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The adjoint of broadcasting `shape` to `g.shape`: sums over the axes that were broadcast."""
    lead = len(g.shape) - len(shape)
    if lead < 0:
        spread: Tensor = registry["broadcast_to"](g, shape)
        return spread
    axes = tuple(range(lead)) + tuple(lead + i for i, d in enumerate(shape) if d == 1 and g.shape[lead + i] != 1)
    if axes:
        g = registry["sum"](g, axis=axes, keepdims=False)
    if g.shape != shape:
        to_shape = registry["reshape" if _size(g.shape) == _size(shape) else "broadcast_to"]
        kept: Tensor = to_shape(g, shape)
        return kept
    return g


def _size(shape: Sequence[int]) -> int:
    size = 1
    for d in shape:
        size *= d
    return size
