"""Mistakes that users make with layers, and what each message must say."""

from __future__ import annotations

import numpy as np
import pytest

import amalthea as am
from amalthea.nn.layer import Layer

L = am.layers
X = np.ones((4, 3), "float32")
IMAGE = np.ones((2, 5, 6, 3), "float32")


def built(layer, shape=(None, 4)):
    layer.build(shape)
    return layer


class NoSuper(Layer):
    def __init__(self):
        pass

    def call(self, x):
        return x


class NoCall(Layer):
    pass


class LateState(Layer):
    def call(self, x):
        if not hasattr(self, "late"):
            self.built = True
            self._lock_state()
            self.late = L.Dense(2)
        return x


class Star(Layer):
    def __init__(self, *sizes):
        super().__init__()


class Holds(Layer):
    def __init__(self, thing):
        super().__init__()


class Wrapped(Layer):
    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x)


class Untraceable(Wrapped):
    def call(self, x):
        return self.inner(x if float(x[0, 0]) > 0 else -x)


class BadBuild(Layer):
    def build(self, one_shape, two_shape):
        pass

    def call(self, x):
        return x


MISTAKES = [
    (
        "features",
        lambda: Wrapped(built(L.Dense(10, name="dense_1")), name="digits")(np.ones((32, 3), "float32")),
        ValueError,
        r"^\[Dense\] in layer 'digits' / layer 'dense_1': the input has 3 features on its last axis and the layer "
        r"expects 4\. Received: input of shape \(32, 3\), kernel of shape \(4, 10\)\. Fix: ",
    ),
    ("rank", lambda: L.Dense(2)(np.ones(3, "float32")), ValueError, r"has rank 1 and the layer expects at least 2"),
    (
        "exact rank",
        lambda: L.Permute((2, 1))(X),
        ValueError,
        r"has rank 2 .* expects rank 3.*add the missing axis",
    ),
    (
        "unknown argument",
        lambda: L.Dense(2, unit=3),
        TypeError,
        r"\[Dense\].*unit=3.*did you mean `units`",
    ),
    ("unknown argument is a ValueError too", lambda: L.Dense(2, unit=3), ValueError, "there is no argument `unit`"),
    ("units", lambda: L.Dense(0), ValueError, r"`units` must be a whole number of at least 1.*units=0"),
    ("units text", lambda: L.Dense("many"), ValueError, r"units='many'"),
    ("name", lambda: L.Dense(2, name="a/b"), ValueError, r"without '/'"),
    ("activation", lambda: L.Dense(2, activation="rellu"), ValueError, r"no such activation.*'rellu'.*'relu'"),
    ("initializer", lambda: L.Dense(2, kernel_initializer="he"), ValueError, r"no such initializer.*'he'.*he_normal"),
    ("regularizer", lambda: L.Dense(2, kernel_regularizer="l3"), ValueError, r"no such regularizer.*'l3'"),
    ("constraint", lambda: L.Dense(2, kernel_constraint="pos"), ValueError, r"no such constraint.*'pos'.*non_neg"),
    ("dtype", lambda: L.Dense(2, dtype="float31"), ValueError, r"unknown policy.*'float31'"),
    ("trainable", lambda: L.Dense(2, trainable="yes"), ValueError, r"`trainable` must be True or False"),
    ("lora", lambda: L.Dense(2, lora_rank=4), NotImplementedError, r"do not exist here yet"),
    ("no super", lambda: NoSuper()(X), RuntimeError, r"super\(\).__init__"),
    ("no call", lambda: NoCall()(X), NotImplementedError, r"\[NoCall\] in layer 'no_call': the layer has no `call`"),
    (
        "late state",
        lambda: LateState()(X),
        ValueError,
        r"cannot take new state .* once it is built.*Fix: create",
    ),
    ("positional setting", lambda: L.Dropout(0.5)(X, True), ValueError, r"only tensors .*by position.*training=True"),
    ("text input", lambda: L.Dense(2)("abc"), ValueError, r"only tensors"),
    ("no input", lambda: L.Dense(2)(), TypeError, r"does not fit `call\(inputs"),
    ("too many inputs", lambda: L.Dense(2)(X, X, X), TypeError, r"does not fit"),
    ("unknown call argument", lambda: L.Dense(2)(X, masks=None), TypeError, r"unexpected keyword argument 'masks'"),
    ("build arguments", lambda: BadBuild()(X), ValueError, r"named after one of `call`'s.*one_shape, two_shape"),
    ("add_weight name", lambda: L.Dense(2).add_weight("kernel"), ValueError, r"first argument .* is the shape"),
    ("unknown size", lambda: L.Dense(2).build((None, None)), ValueError, r"unknown sizes.*\(None, 2\)"),
    ("unbuilt sublayers", lambda: Untraceable(L.Dense(2)).build((2, 3)), NotImplementedError, r"are not built"),
    ("count_params", lambda: L.Dense(2).count_params(), ValueError, r"not built"),
    ("number of weights", lambda: built(L.Dense(2)).set_weights([X]), ValueError, r"has 2 weights.*Received: 1 arrays"),
    (
        "shape of weights",
        lambda: built(L.Dense(2, name="d")).set_weights([X, np.zeros(2)]),
        ValueError,
        r"'d/kernel'.*\(4, 3\) for a weight of shape \(4, 2\)",
    ),
    ("output of unused", lambda: built(L.Dense(2)).output, ValueError, r"never called on symbolic tensors"),
    ("loss", lambda: L.Dense(2).add_loss(3), ValueError, r"a loss must be a tensor"),
    ("config of *args", lambda: Star(1, 2).get_config(), NotImplementedError, r"`\*args`"),
    ("config of objects", lambda: Holds(object()).get_config(), NotImplementedError, r"`thing` holds a object"),
    ("from_config", lambda: L.Dense.from_config({"size": 3}), TypeError, r"\[Dense.from_config\].*size"),
    ("stateless unbuilt", lambda: L.Dense(2).stateless_call([], [], X), ValueError, r"is not built"),
    ("stateless count", lambda: built(L.Dense(2)).stateless_call([], [], X), ValueError, r"has 2 trainable variables"),
    ("einsum", lambda: L.EinsumDense("ab,bc", 3)(X), ValueError, r"none of the forms.*'ab,bc'"),
    ("einsum rank", lambda: L.EinsumDense("abc,cd->abd", (None, 3))(X), ValueError, r"inputs of rank 3"),
    (
        "einsum size",
        lambda: L.EinsumDense("ab,bc->acb", (3, 5))(X),
        ValueError,
        r"'b' has size 3 in the input and 5",
    ),
    ("einsum bias", lambda: L.EinsumDense("ab,bc->ac", 3, bias_axes="d")(X), ValueError, r"axes \['d'\]"),
    ("reshape", lambda: L.Reshape((2, 2))(X), ValueError, r"does not fit `target_shape`.*\(4, 3\).*must be 3"),
    ("reshape two", lambda: L.Reshape((-1, -1)), ValueError, r"one -1"),
    ("permute", lambda: L.Permute((0, 1)), ValueError, r"each axis from 1 on once"),
    ("repeat", lambda: L.RepeatVector(0), ValueError, r"`n` must be"),
    ("crop all", lambda: L.Cropping1D(3)(np.ones((1, 5, 2), "float32")), ValueError, r"nothing is left of axis 1"),
    ("padding", lambda: L.ZeroPadding2D((1, 2, 3)), ValueError, r"2 numbers or pairs"),
    ("data format", lambda: L.ZeroPadding2D(1, data_format="first"), ValueError, r"unknown `data_format`"),
    ("interpolation", lambda: L.UpSampling2D(2, interpolation="smooth"), ValueError, r"unknown interpolation"),
    ("merge one", lambda: L.Add()(X), ValueError, r"takes a list of tensors"),
    ("merge three", lambda: L.Subtract()([X, X, X]), ValueError, r"takes 2 tensors"),
    (
        "merge shapes",
        lambda: L.Add()([X, np.ones((4, 2), "float32")]),
        ValueError,
        r"do not broadcast.*\(4, 3\), \(4, 2",
    ),
    ("merge batches", lambda: L.Add()([X, X[:2]]), ValueError, r"different batch sizes"),
    ("concatenate", lambda: L.Concatenate(axis=0)([X, X[:, :1]]), ValueError, r"sizes of axis 1 differ"),
    ("concatenate rank", lambda: L.Concatenate()([X, IMAGE]), ValueError, r"different ranks"),
    ("dot axes", lambda: L.Dot(axes="all"), ValueError, r"`axes` must be"),
    ("dot batch", lambda: L.Dot(axes=0)([X, X]), ValueError, r"batch axis"),
    ("dot sizes", lambda: L.Dot(axes=1)([X, np.ones((4, 2), "float32")]), ValueError, r"another size"),
    ("dropout rate", lambda: L.Dropout(2), ValueError, r"`rate` must be a number from 0 to 1.*rate=2"),
    ("noise shape", lambda: L.Dropout(0.5, noise_shape=(0, 1)), ValueError, r"`noise_shape`"),
    ("relu", lambda: L.ReLU(negative_slope=-1), ValueError, r"`negative_slope` must be"),
    ("softmax mask", lambda: L.Softmax()(X, mask=np.ones((2, 3), "bool")), ValueError, r"mask does not broadcast"),
    ("norm axis", lambda: L.LayerNormalization(axis=2)(X), ValueError, r"no axis 2 in the input.*\(4, 3\)"),
    ("norm axis text", lambda: L.UnitNormalization(axis="last"), ValueError, r"`axis` must be"),
    ("batch norm axis", lambda: L.BatchNormalization(axis=5)(X), ValueError, r"no axis 5"),
    ("groups", lambda: L.GroupNormalization(groups=2)(X), ValueError, r"3 channels cannot be split into 2 groups"),
    ("groups 0", lambda: L.GroupNormalization(groups=0), ValueError, r"`groups`"),
    ("mean alone", lambda: L.Normalization(mean=1.0), ValueError, r"must be given together"),
    ("adapt nothing", lambda: L.Normalization().adapt([]), ValueError, r"there are no data"),
    ("adapt number", lambda: L.Normalization().adapt(3), ValueError, r"takes an array or an iterable"),
    ("lambda", lambda: L.Lambda("relu"), ValueError, r"`function` must be callable"),
    (
        "index between",
        lambda: L.Embedding(3, 2, name="table")(np.array([[0, 1.5]])),
        ValueError,
        r"layer 'table'.*whole.*1.5 at",
    ),
    ("embedding size", lambda: L.Embedding(0, 3), ValueError, r"`input_dim`"),
    ("orthogonal", lambda: am.initializers.Orthogonal()((3,)), ValueError, r"two axes or more"),
    ("identity", lambda: am.initializers.Identity()((3,)), ValueError, r"only a matrix"),
    ("seed", lambda: am.initializers.HeNormal(seed="a"), ValueError, r"`seed` must be"),
    ("scale", lambda: am.initializers.VarianceScaling(scale=0), ValueError, r"`scale` must be positive"),
    ("l2", lambda: am.regularizers.L2(-1), ValueError, r"`l2` must be"),
    (
        "array initializer",
        lambda: am.initializers.get(X)((2, 2)),
        ValueError,
        r"for a weight of shape \(2, 2\)",
    ),
]


@pytest.mark.parametrize(("make", "kind", "message"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_mistakes_have_clear_messages(make, kind, message):
    with pytest.raises(kind, match=message) as caught:
        make()
    assert "Fix: " in str(caught.value)


def test_messages_name_the_layers_when_traced_too():
    layer = Wrapped(built(L.Dense(10, name="dense_1")), name="digits")
    with pytest.raises(ValueError, match=r"\[Dense\] in layer 'digits' / layer 'dense_1': the input has 3 features"):
        am.function(lambda x: layer(x))(am.ops.convert_to_tensor(X))
    with pytest.raises(ValueError, match=r"the input has 3 features on its last axis and the layer expects 4"):
        layer(am.KerasTensor((None, 3)))


def test_a_failed_build_can_be_tried_again():
    layer = L.Dense(2)
    with pytest.raises(ValueError):
        layer.build((None, None))
    layer.build((None, 3))
    assert [w.path for w in layer.weights] == [f"{layer.name}/kernel", f"{layer.name}/bias"]
