"""Bidirectional: a recurrent layer run over a sequence from both ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amalthea import ops
from amalthea.core import tree
from amalthea.core.errors import ArgumentError, fail
from amalthea.core.tensor import Tensor
from amalthea.nn.layer import Layer
from amalthea.nn.layers.wrapper import check_layer, takes
from amalthea.nn.objects import CustomObjectScope, deserialize_keras_object, public, serialize_keras_object

_MERGE_MODES = ("sum", "mul", "ave", "concat", None)


def _copy(layer: Layer, prefix: str, **changes: Any) -> Any:
    """A fresh layer with the same arguments, named with the prefix; it shares no weights."""
    config = serialize_keras_object(layer)["config"]
    own = {type(part).__name__: type(part) for part in layer._flatten_layers()}
    with CustomObjectScope(own):  # so that cells of the user's own class need not be registered
        return type(layer).from_config({**config, "name": prefix + layer.name.removeprefix(prefix), **changes})


@public("keras.layers.Bidirectional")
class Bidirectional(Layer):
    """Runs a recurrent layer over a sequence forwards and backwards, and merges the two outputs step by step.

    The given layer serves as a pattern: two new layers are made from its arguments, with weights of their own.

    Args:
        layer: a recurrent layer (LSTM, GRU, SimpleRNN, RNN), or a layer with `go_backwards`, `return_sequences`,
            `return_state` and `stateful`.
        merge_mode: "concat" (the last axes one after the other), "sum", "mul", "ave", or None (both outputs).
        weights: arrays to start with, those of the forward layer first.
        backward_layer: the layer for the way back, with go_backwards=True; default: a copy of `layer`.

    Call arguments: those of the layer. initial_state holds the states of the forward layer, then of the backward one;
    with return_state the states come back in the same order, after the output.

    >>> import amalthea as am
    >>> am.layers.Bidirectional(am.layers.LSTM(4, return_sequences=True))(am.ops.ones((2, 10, 3))).shape
    (2, 10, 8)
    """

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Layer | None = None,
        **kwargs: Any,
    ) -> None:
        where = type(self).__name__
        check_layer(layer, "layer", where)
        if backward_layer is not None:
            check_layer(backward_layer, "backward_layer", where)
        if merge_mode not in _MERGE_MODES:
            fail(
                ArgumentError,
                f"`merge_mode` must be one of {', '.join(map(repr, _MERGE_MODES))}",
                where=where,
                received=f"merge_mode={merge_mode!r}",
                fix="pass merge_mode='concat'",
            )
        for needed in ("go_backwards", "return_sequences", "return_state", "stateful"):
            if not hasattr(layer, needed):
                fail(
                    ArgumentError,
                    f"the layer must be recurrent, and {type(layer).__name__} has no `{needed}`",
                    where=where,
                    received=f"layer={layer!r}",
                    fix="wrap an LSTM, GRU, SimpleRNN or RNN layer",
                )
        super().__init__(weights=weights, **kwargs)
        self.forward_layer = _copy(layer, "forward_")
        if backward_layer is None:
            backward_layer = _copy(layer, "backward_", go_backwards=True)
        self.backward_layer: Any = backward_layer
        self._check_pair()
        part: Any
        for part in (self.forward_layer, self.backward_layer):
            if hasattr(layer, "use_cudnn"):
                part.use_cudnn = layer.use_cudnn
            if hasattr(part, "zero_output_for_mask"):  # outputs are merged, so masked steps must not repeat old ones
                part.zero_output_for_mask = part.return_sequences
        self.merge_mode = merge_mode
        self.stateful = self.forward_layer.stateful
        self.return_sequences = self.forward_layer.return_sequences
        self.return_state = self.forward_layer.return_state
        self.supports_masking = True

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            fail(
                ArgumentError,
                "the two layers must read in opposite directions, but `go_backwards` is the same in both",
                where=type(self).__name__,
                received=f"go_backwards={forward.go_backwards} and {backward.go_backwards}",
                fix="make `backward_layer` with go_backwards=True",
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                fail(
                    ArgumentError,
                    f"the two layers must have the same `{name}`",
                    where=type(self).__name__,
                    received=f"{name}={getattr(forward, name)} and {getattr(backward, name)}",
                    fix=f"make `backward_layer` with {name}={getattr(forward, name)}",
                )

    def build(self, sequences_shape: Sequence[int | None], initial_state_shape: Any = None) -> None:
        """Build both layers."""
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
                layer.built = True
        self.built = True

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Run both layers over `sequences` and merge their outputs."""
        arguments: dict[str, Any] = {}
        if takes(self.forward_layer, "training"):
            arguments["training"] = training
        if takes(self.forward_layer, "mask"):
            arguments["mask"] = mask
        states: tuple[Any, Any] = (None, None)
        if initial_state is not None:
            states = self._halves(list(initial_state))
        with_states = [{} if state is None else {"initial_state": state} for state in states]
        forward = self.forward_layer(sequences, **with_states[0], **arguments)
        backward = self.backward_layer(sequences, **with_states[1], **arguments)
        last_states: tuple[Any, ...] = ()
        if self.return_state:
            last_states = (*forward[1:], *backward[1:])
            forward, backward = forward[0], backward[0]
        if self.return_sequences:
            backward = ops.flip(backward, axis=1)
        output = self._merge(ops.cast(forward, self.compute_dtype), ops.cast(backward, self.compute_dtype))
        if not last_states:
            return output
        return (*output, *last_states) if self.merge_mode is None else (output, *last_states)

    def _halves(self, states: list[Any]) -> tuple[list[Any], list[Any]]:
        if len(states) % 2:
            fail(
                ArgumentError,
                "`initial_state` must hold the states of the forward layer and then those of the backward layer",
                where=type(self).__name__,
                received=f"{len(states)} states",
                fix="pass as many states for each direction",
            )
        return states[: len(states) // 2], states[len(states) // 2 :]

    def _merge(self, forward: Tensor, backward: Tensor) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate([forward, backward], axis=-1)
        if self.merge_mode == "sum":
            return forward + backward
        if self.merge_mode == "ave":
            return (forward + backward) / 2
        if self.merge_mode == "mul":
            return forward * backward
        return forward, backward

    def compute_output_shape(self, sequences_shape: Sequence[int | None], initial_state_shape: Any = None) -> Any:
        """The output shape for a shape of sequences; with `return_state`, followed by those of the states."""
        output = self.forward_layer.compute_output_shape(sequences_shape)
        states: tuple[Any, ...] = ()
        if self.return_state:
            output, states = output[0], tuple(output[1:])
        if self.merge_mode is None:
            return (output, output, *states, *states)
        if self.merge_mode == "concat":
            output = (*output[:-1], 2 * output[-1])
        return (output, *states, *states) if self.return_state else output

    def compute_mask(self, _: Any, mask: Any) -> Any:
        """The mask of the output: that of the input for whole sequences, else None."""
        mask = tree.flatten(mask)[0] if self.return_sequences else None
        outputs = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            return [*outputs, *(None for _ in range(2 * len(self.forward_layer.state_size)))]
        return tuple(outputs) if self.merge_mode is None else mask

    @property
    def states(self) -> Any:
        """The kept states of both layers, those of the forward layer first; None where they keep none."""
        if self.forward_layer.states and self.backward_layer.states:
            return (*self.forward_layer.states, *self.backward_layer.states)
        return None

    def reset_state(self) -> None:
        """Set the kept states of both layers to zero."""
        if not self.stateful:
            raise AttributeError(
                f"Bidirectional '{self.name}' keeps no states: its layer was made with stateful=False."
            )
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain values."""
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": serialize_keras_object(self.forward_layer),
            "backward_layer": serialize_keras_object(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """The layer that a config describes."""
        config = dict(config)
        for name in ("layer", "backward_layer"):
            if config.get(name) is not None:
                config[name] = deserialize_keras_object(config[name], custom_objects=custom_objects)
        return cls(**config)
