"""The runtimes, each with a network loaded and its images ready, at its best settings for latency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.inference.rows import Inference


class Runtime:
    """What the worker wants of a runtime; `call` runs the network once and returns its logits."""

    call: Callable[[], Any]

    def restart(self) -> None:
        """Nothing is learnt, so nothing has to be forgotten."""

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.call()

    def logits(self, samples: int) -> list[list[float]]:
        """The logits of the first images."""
        return np.asarray(self.call())[:samples].astype("float64").tolist()


class Amalthea(Runtime):
    """The model as one compiled function; as the reference, the same in NumPy."""

    def __init__(self, row: Inference, samples: int | None = None, **_: Any) -> None:
        import amalthea as am
        from benchmarks import keras_models

        model = getattr(keras_models, row.identifier)(am)
        keras_models.set_initial(model)
        images = am.ops.convert_to_tensor(row.data()[:samples])
        forward = am.function(lambda x: model(x, training=False))
        self.call = lambda: forward(images)


class OnnxRuntime(Runtime):
    def __init__(self, row: Inference, onnx: str, threads: int, **_: Any) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")  # at the end of each run
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        images = {"images": np.ascontiguousarray(row.data().transpose(0, 3, 1, 2))}
        self.call = lambda: session.run(None, images)[0]


class OpenVino(Runtime):
    """Held to float32: on processors that can, OpenVINO would otherwise compute in bfloat16."""

    def __init__(self, row: Inference, onnx: str, threads: int, **_: Any) -> None:
        import openvino

        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": 1,
        }
        compiled = openvino.Core().compile_model(onnx, "CPU", settings)
        request = compiled.create_infer_request()
        images = openvino.Tensor(np.ascontiguousarray(row.data().transpose(0, 3, 1, 2)))
        request.set_input_tensor(images)

        def call() -> Any:
            request.infer()
            return request.get_output_tensor().data

        self.call = call


class LiteRt(Runtime):
    """With XNNPACK, which the interpreter takes by itself."""

    def __init__(self, row: Inference, litert: str, threads: int, **_: Any) -> None:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=litert, num_threads=threads)
        interpreter.allocate_tensors()
        place = interpreter.get_input_details()[0]["index"]
        result = interpreter.tensor(interpreter.get_output_details()[0]["index"])
        interpreter.set_tensor(place, row.data())

        def call() -> Any:
            interpreter.invoke()
            return result()

        self.call = call
