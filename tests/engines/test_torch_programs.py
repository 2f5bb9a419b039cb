"""Programs of the torch backend: which torch functions they call, and what they write into whose memory."""

import numpy as np
import pytest

import amalthea as am
from amalthea import layers as L
from amalthea.core.errors import UnsupportedError

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def on_torch():
    with am.backend_scope("torch"):
        yield


def program_of(function, *arguments):
    """The program that a compiled function runs on these arguments, after it has run once."""
    function(*arguments)
    (entries,) = function._compiled.values()
    return entries[0].program


def called(program):
    return [getattr(call.function, "__name__", str(call.function)) for call in program.calls]


def trained(model, optimizer):
    model.optimizer = optimizer
    optimizer.build(model.trainable_variables)

    @am.function
    def step(x, y):
        with am.GradientTape() as tape:
            loss = am.ops.mean((model(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return step


def dense():
    am.utils.set_random_seed(1)
    return am.Sequential([L.Input((64,)), L.Dense(80, activation="relu"), L.Dense(2)])


X, Y = rng.normal(size=(8, 64)).astype("float32"), rng.normal(size=(8, 2)).astype("float32")


def test_layers_are_one_call_each_and_adam_is_one_for_all_variables():
    program = program_of(trained(dense(), am.optimizers.Adam(0.01)), X, Y)
    names = called(program)
    assert names.count("addmm") == 2 and names.count("mm") == 3
    assert names.count("adam_step") == 1 and names.count("sqrt_") == 1  # the root is of the rate
    assert sum(len(c.args[0]) for c in program.calls if getattr(c.function, "__name__", "") == "adam_step") == 4


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: am.optimizers.Adam(0.01),
        lambda: am.optimizers.AdamW(0.01, weight_decay=0.1),
        lambda: am.optimizers.Adam(0.01, amsgrad=True),
        lambda: am.optimizers.Adam(0.01, clipnorm=0.1),
        lambda: am.optimizers.SGD(0.1, momentum=0.9),
        lambda: am.optimizers.RMSprop(0.01),
    ],
)
def test_training_is_the_same_as_on_numpy(optimizer):
    def losses():
        step = trained(dense(), optimizer())
        return [float(step(X, Y)) for _ in range(6)]

    ours = losses()
    with am.backend_scope("numpy"):
        wanted = losses()
    assert ours[0] != ours[-1]
    np.testing.assert_allclose(ours, wanted, rtol=2e-4)


def test_variables_keep_their_memory_and_values_that_were_read_do_not_change():
    model = dense()
    step = trained(model, am.optimizers.SGD(0.1))
    step(X, Y)
    kernel = model.trainable_variables[0]
    place = kernel.value._array.data_ptr()
    step(X, Y)
    assert kernel.value._array.data_ptr() == place
    held, view = kernel.value, kernel.numpy()
    before = view.copy()
    step(X, Y)
    np.testing.assert_array_equal(held.numpy(), before)
    np.testing.assert_array_equal(view, before)
    assert not np.array_equal(kernel.numpy(), before)


def test_a_result_is_not_overwritten_by_the_update_after_it():
    v = am.Variable(np.ones(5000, "float32"))

    @am.function
    def step():
        before = am.ops.reshape(v.value, (50, 100))  # a view
        v.assign_add(v.value * 2.0)
        return before, v + 0.0

    for _ in range(3):
        before, after = step()
        np.testing.assert_array_equal(after.numpy(), before.numpy().reshape(-1) * 3)


def test_an_array_of_numpys_is_never_written_to():
    array = np.ones(5000, "float32")
    v = am.Variable(array)
    step = am.function(lambda: v.assign_add(am.ops.ones(5000)))
    for _ in range(3):
        step()
    assert array.sum() == 5000 and v.numpy().sum() == 4 * 5000


def test_both_gradients_of_a_convolution_come_from_one_call_and_pooling_finds_its_places_once():
    am.utils.set_random_seed(1)
    model = am.Sequential(
        [L.Input((9, 8, 3)), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(2), L.Conv2D(5, 2, padding="same")]
    )
    x = rng.normal(size=(2, 9, 8, 3)).astype("float32")

    @am.function
    def gradients(x):
        with am.GradientTape() as tape:
            loss = am.ops.mean(model(x) ** 2)
        return tape.gradient(loss, model.trainable_variables)

    names = called(program_of(gradients, x))
    assert names.count("convolved") == 2 and names.count("gradients") == 1 and names.count("conv_kernel_gradient") == 1
    assert names.count("pooled") == 1 and names.count("pooled_gradient") == 1
    found = [g.numpy() for g in gradients(x)]
    with am.backend_scope("numpy"):
        for got, want in zip(found, gradients(x), strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=2e-4, atol=1e-6)


def test_images_are_not_copied_around_convolutions():
    import torch

    model = am.Sequential([L.Input((16, 16, 8)), L.Conv2D(16, 3, activation="relu"), L.MaxPooling2D(2), L.Conv2D(8, 3)])
    run = am.function(lambda x: model(x))
    x = am.ops.convert_to_tensor(rng.normal(size=(4, 16, 16, 8)).astype("float32"))
    run(x)
    with torch.profiler.profile(record_shapes=True) as profile:
        run(x)
    copied = [e.input_shapes for e in profile.key_averages(group_by_input_shape=True) if e.key == "aten::copy_"]
    assert any("conv" in e.key for e in profile.key_averages())
    assert all(4 not in shape for shapes in copied for shape in shapes if len(shape) == 4)


@pytest.mark.parametrize(
    "subscripts",
    ["ab,bc->ac", "ab,bc->ca", "ba,bc->ac", "ba,cb->ca", "abc,cd->abd", "abc,abd->cd", "abcd,abed->abce",
     "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd", "abc,dbc->ad", "abc,dcb->da", "a,b->ab", "a,a->", "ab,b->a", "ab,ac->abc"],
)  # fmt: skip
def test_contractions(subscripts):
    sizes = dict(zip("abcdehkq", (2, 3, 5, 4, 7, 6, 1, 8), strict=True))
    x, y = (rng.normal(size=[sizes[a] for a in part]) for part in subscripts.split("->")[0].split(","))
    run = am.function(lambda x, y: am.ops.einsum(subscripts, x, y))
    assert not {"contract", "einsum"} & set(called(program_of(run, x, y)))
    np.testing.assert_allclose(run(x, y).numpy(), np.einsum(subscripts, x, y), rtol=1e-10)


def test_the_lowest_and_equal_numbers_of_windows_have_the_gradient_of_numpy():
    x = np.float32([[1, 1, 0, 2], [1, 0, 2, 2], [-np.inf, -np.inf, 3, 1], [-np.inf, -np.inf, 1, 3]])[None, :, :, None]

    def gradient():
        t = am.ops.convert_to_tensor(x)
        with am.GradientTape() as tape:
            tape.watch(t)
            y = am.ops.sum(am.ops.max_pool(t, 2) * np.float32([[1, 2], [3, 4]])[None, :, :, None])
        return tape.gradient(y, t).numpy()

    ours = gradient()
    with am.backend_scope("numpy"):
        np.testing.assert_array_equal(ours, gradient())


def test_integers_convolve_and_negative_powers_of_them_are_refused():
    x, k = rng.integers(-9, 9, (2, 5, 5, 3)), rng.integers(-9, 9, (2, 2, 3, 4))
    with am.backend_scope("numpy"):
        wanted = am.ops.conv(x.astype("float64"), k.astype("float64")).numpy()
    np.testing.assert_array_equal(am.ops.conv(x.astype("int32"), k.astype("int32")).numpy(), wanted)
    with pytest.raises(ValueError, match="negative integer powers"):
        am.ops.power(np.int32([2]), np.int32([-1]))


def test_a_transformer_block_is_torchs_own_calls_forwards_and_backwards():
    am.utils.set_random_seed(3)
    x = L.Input((18, 8))
    y = L.MultiHeadAttention(2, 4)(L.LayerNormalization()(x), x, use_causal_mask=True)
    y = L.Dense(8, activation="gelu")(L.Add()([x, y]))
    model = am.Model(x, L.Softmax()(y))
    data = rng.normal(size=(2, 18, 8)).astype("float32")

    @am.function
    def gradients(x):
        with am.GradientTape() as tape:
            loss = am.ops.sum(am.ops.square(model(x)))
        return tape.gradient(loss, model.trainable_variables)

    names = called(program_of(gradients, data))
    for once in ("attention_gradient", "layer_statistics", "layer_gradients", "gelu", "gelu_gradient"):
        assert names.count(once) == 1, once
    found = [g.numpy() for g in gradients(data)]
    with am.backend_scope("numpy"):
        for got, want in zip(found, gradients(data), strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("options", [{}, {"axis": (1, 2)}, {"axis": 1}, {"center": False}, {"scale": False}])
def test_gradients_of_layer_normalization(options):
    x = rng.normal(size=(3, 4, 5))
    layer = L.LayerNormalization(**options, dtype="float64")
    layer.build(x.shape)
    for i, v in enumerate(layer.variables):
        v.assign(np.random.default_rng(i).normal(size=v.shape))

    def gradients(run):
        t = am.ops.convert_to_tensor(x)
        with am.GradientTape() as tape:
            tape.watch(t)
            loss = am.ops.sum(run(t) ** 3)
        return [g.numpy() for g in tape.gradient(loss, [t, *layer.variables])]

    made = [gradients(layer), gradients(am.function(layer))]
    with am.backend_scope("numpy"):
        wanted = gradients(layer)
    for found in made:
        for got, want in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_a_query_that_may_look_at_nothing_gets_the_mean_and_no_gradient_for_its_logits():
    q, k, v = (rng.normal(size=(1, 3, 2, 4)) for _ in range(3))
    mask = np.array([[True, False, True], [False, False, False], [True, True, True]])[None, None]

    def run():
        tensors = [am.ops.convert_to_tensor(t) for t in (q, k, v)]
        with am.GradientTape() as tape:
            tape.watch(tensors)
            y = am.ops.dot_product_attention(*tensors, mask=mask)
            loss = am.ops.sum(y**2)
        return [y.numpy(), *(g.numpy() for g in tape.gradient(loss, tensors))]

    ours = run()
    with am.backend_scope("numpy"):
        for got, want in zip(ours, run(), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("reverse", [False, True])
def test_loops_overwrite_what_they_carry_and_nothing_else(reverse):
    x = rng.normal(size=(5, 40))

    def run(start, xs):
        def body(carry, x):
            a, b = carry
            new = a * 0.5 + x
            return (new, b + new), (am.ops.reshape(new, (4, 10)), am.ops.sum(b))

        carry, stacked = am.ops.scan(body, (start, start * 2.0), xs, reverse=reverse)
        last = am.ops.while_loop(lambda i, c: i < 3, lambda i, c: (i + 1, c * 2.0 + start), (0, carry[0]))
        return [*carry, *stacked, last[1], start]

    compiled, start = am.function(run), am.ops.convert_to_tensor(x[0])
    found = [t.numpy() for t in compiled(start, x)]
    with am.backend_scope("numpy"):
        wanted = [np.asarray(t) for t in run(am.ops.convert_to_tensor(x[0]), am.ops.convert_to_tensor(x))]
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_fit_in_one_loop_trains_as_step_by_step_does():
    x, y = np.tile(X, (4, 1)), np.tile(Y, (4, 1))

    def losses(**options):
        model = dense()
        model.compile(am.optimizers.Adam(0.01), "mse", **options)
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        return [v.numpy() for v in model.variables]

    for got, want in zip(losses(), losses(run_eagerly=True), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within torch
def test_torch_compile_gives_the_same():
    table = rng.normal(size=(2000, 4)).astype("float32")

    def make(jit_compile):
        weights, steps = am.Variable(table), am.Variable(0)

        @am.function(jit_compile=jit_compile)
        def step(places):
            rows = am.ops.take(weights, places, axis=0)
            weights.assign_sub(am.ops.tanh(weights) * 0.1)
            steps.assign_add(1)
            turned = am.ops.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, x * 1.5), (0, rows))[1]
            return am.ops.softmax(turned @ am.ops.transpose(rows)), steps + 0

        return [[t.numpy() for t in step(np.int32([3, -1, 7]))] for _ in range(2)] + [[weights.numpy()]]

    for got, want in zip(make(True), make(None), strict=True):
        for one, other in zip(got, want, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_torch_compile_without_a_compiler_says_what_to_install(monkeypatch):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    from amalthea.backends.torch.compiled import inductor

    def missing():
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    inductor._check_compiler.cache_clear()
    with pytest.raises(UnsupportedError, match=r"C\+\+ compiler.*Fix: "):
        am.function(lambda x: x * 2.0, jit_compile=True)(X)
    inductor._check_compiler.cache_clear()


@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ji,jk->ik", "ij,kj->ik", "ji,kj->ik", "ij,jk->ki", "ji,kj->ki"])
def test_products_of_matrices_op_by_op(subscripts):
    sizes = {"i": 2, "j": 3, "k": 5}
    x, y = (rng.normal(size=[sizes[a] for a in part]) for part in subscripts.split("->")[0].split(","))
    np.testing.assert_allclose(am.ops.einsum(subscripts, x, y).numpy(), np.einsum(subscripts, x, y), rtol=1e-12)


@pytest.mark.parametrize(
    "key", [slice(1, 3), slice(None, None, -1), slice(3, 0, -2), slice(2, 2), slice(None, None, 2)]
)
def test_slices_op_by_op(key):
    x = rng.normal(size=(5, 4))
    t = am.ops.convert_to_tensor(x)
    np.testing.assert_array_equal(t[key].numpy(), x[key])
    np.testing.assert_array_equal(t[1:4, key].numpy(), x[1:4, key])


@pytest.mark.parametrize("shape", [(6, 5), (3, 4, 5), (2, 3, 4, 5), (1, 5), (2, 2, 2, 2, 5)])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"scale": False}, {"scale": False, "center": False}])
def test_batch_normalization_and_its_gradients(shape, options):
    x = rng.normal(size=shape)
    weights = np.random.default_rng(0).normal(size=shape)

    def run(compiled):
        layer = L.BatchNormalization(**options, momentum=0.5, dtype="float64")
        layer.build(shape)
        for i, v in enumerate(layer.trainable_variables):
            v.assign(np.random.default_rng(i).normal(size=v.shape))

        def step(t):
            with am.GradientTape() as tape:
                tape.watch(t)
                y = layer(t, training=True)
                loss = am.ops.sum(y**3 * weights)
            return [y, *tape.gradient(loss, [t, *layer.trainable_variables])]

        found = (am.function(step) if compiled else step)(am.ops.convert_to_tensor(x))
        return [t.numpy() for t in (*found, *layer.non_trainable_variables)]

    made = [run(False), run(True)]
    with am.backend_scope("numpy"):
        wanted = run(False)
    for found in made:
        for got, want in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9)


def test_batch_normalization_is_one_call_forwards_and_one_backwards():
    model = am.Sequential([L.Input((6, 6, 3)), L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten(), L.Dense(1)])
    step = trained(model, am.optimizers.SGD(0.1))
    names = called(program_of(step, rng.normal(size=(4, 6, 6, 3)).astype("float32"), Y[:4, :1]))
    assert names.count("batch_statistics") == 1 and names.count("batch_gradients") == 1 and "var_mean" not in names


def test_composites_with_kernels_op_by_op_tell_arguments_apart():
    x = am.ops.convert_to_tensor(X)
    for _ in range(2):
        for run in (
            lambda: am.ops.softmax(x),
            lambda: am.ops.softmax(x, axis=0),
            lambda: am.ops.softmax(x, 0),
            lambda: am.ops.gelu(x, approximate=False),
            lambda: am.ops.gelu(x, True),
            lambda: am.ops.layer_normalization(x, x[0], x[1]),
            lambda: am.ops.layer_normalization(x, x[1], None),
            lambda: am.ops.softmax(am.ops.cast(x, "bfloat16")),
        ):
            made = run()
            with am.backend_scope("numpy"):
                wanted = run()
            assert made.dtype == wanted.dtype
            tolerance = 2e-2 if made.dtype == "bfloat16" else 2e-6
            np.testing.assert_allclose(
                *(t.numpy().astype("float32") for t in (made, wanted)), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("kernel_first", [True, False])
def test_gradients_of_a_convolution_in_either_order(kernel_first):
    @am.function
    def gradients(x, k):
        with am.GradientTape(persistent=True) as tape:
            tape.watch([x, k])
            loss = am.ops.sum(am.ops.conv(x, k) ** 2)
        for_both = [k, x] if kernel_first else [x, k]
        return [tape.gradient(loss, t) for t in for_both]

    x, k = rng.normal(size=(2, 6, 5, 3)).astype("float32"), rng.normal(size=(3, 2, 3, 4)).astype("float32")
    found = [g.numpy() for g in gradients(x, k)]
    with am.backend_scope("numpy"):
        for got, want in zip(found, gradients(x, k), strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=2e-4, atol=1e-4)


def test_of_two_operands_in_different_order_the_smaller_is_copied():
    small, large = rng.normal(size=(3, 5, 2)).astype("float32"), rng.normal(size=(5, 3, 70)).astype("float32")
    for x, y, subscripts in ((small, large, "abi,baj->ij"), (large, small, "abi,baj->ij")):
        product = am.function(lambda x, y, subscripts=subscripts: am.ops.einsum(subscripts, x, y))
        program = program_of(product, x, y)
        (turned,) = [call.args[0] for call in program.calls if "permute" in str(call)]
        assert tuple(turned.spec.sizes) == small.shape
        np.testing.assert_allclose(product(x, y), np.einsum(subscripts, x, y), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 64])
@pytest.mark.parametrize("turned", [False, True])
def test_a_matrix_that_a_loop_multiplies_transposed_is_turned_once_before(length, turned):
    kernel = rng.normal(size=(5, 5)).astype("float32") * 0.3
    xs = rng.normal(size=(length, 2, 5)).astype("float32")

    @am.function
    def run(kernel, xs):
        def step(carry, x):
            product = am.ops.matmul(carry, am.ops.transpose(kernel) if turned else kernel)
            return am.ops.tanh(product + x), product

        return am.ops.scan(step, am.ops.ones((2, 5)), xs)

    copies = called(program_of(run, kernel, xs)).count("transposed_copy")
    assert copies == (1 if turned and length >= 8 else 0)
    carry, products = np.ones((2, 5), "float32"), np.zeros((length, 2, 5), "float32")
    for i in range(length):
        products[i] = carry @ (kernel.T if turned else kernel)
        carry = np.tanh(products[i] + xs[i])
    found = run(kernel, xs)
    np.testing.assert_allclose(found[0], carry, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], products, rtol=1e-4, atol=1e-5)


def test_gradients_of_recurrent_layers_are_those_of_the_reference():
    x = rng.normal(size=(3, 17, 4)).astype("float32")
    layer = L.LSTM(6)
    layer.build(x.shape)

    def gradients(x):
        with am.GradientTape() as tape:
            tape.watch(x)
            y = am.ops.sum(layer(x) ** 2)
        return tape.gradient(y, [x, *layer.trainable_variables])

    got = [g.numpy() for g in am.function(gradients)(am.ops.convert_to_tensor(x))]
    with am.backend_scope("numpy"):
        want = [g.numpy() for g in gradients(am.ops.convert_to_tensor(x))]
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "overlapping",
    [
        lambda x: am.ops.extract_windows(am.ops.reshape(x, (1, -1, 1)), size=(2,), strides=(1,)),
        lambda x: am.ops.broadcast_to(x, (3, 4)),
        lambda x: am.ops.reshape(am.ops.broadcast_to(x, (3, 4)), (3, 2, 2)),
        lambda x: am.ops.transpose(am.ops.broadcast_to(x, (3, 4))),
        lambda x: am.ops.while_loop(lambda i, x: i < 1, lambda i, x: (i + 1, am.ops.broadcast_to(x[0], (4,))), (0, x))[
            1
        ],
    ],
)
def test_values_whose_elements_share_memory_are_not_overwritten(overlapping):
    x = np.arange(4.0)
    wanted = np.asarray(overlapping(am.ops.convert_to_tensor(x + 1.0))) * 3.0
    found = am.function(lambda x: overlapping(x + 1.0) * 3.0)(x)
    np.testing.assert_array_equal(found.numpy(), wanted)


def test_what_a_loop_passes_on_is_not_overwritten_after_it():
    def run(x, y):
        kept, made = am.ops.while_loop(lambda k, m: m[0] < 9, lambda k, m: (k, m * 2.0 + k), (y, x + 1.0))
        return kept * 3.0, made, y

    x = am.ops.convert_to_tensor(np.arange(4.0))
    y = am.ops.convert_to_tensor(np.ones(4))
    wanted = [np.asarray(t).copy() for t in run(x, y)]
    found = am.function(run)(x, y)
    np.testing.assert_array_equal(y.numpy(), np.ones(4))
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(got.numpy(), want)


def test_values_that_a_loop_carries_begin_as_one():
    @am.function
    def count(x):
        start = x * 0.0, x * 0.0, 0
        return am.ops.while_loop(lambda a, b, n: n < 3, lambda a, b, n: (a + 1.0, b * 2.0 + a, n + 1), start)

    a, b, _ = count(np.ones(4, "float32"))
    assert a.numpy().tolist() == [3.0] * 4 and b.numpy().tolist() == [4.0] * 4


def adam_by_hand(value, gradient, mean, square):
    mean = mean + (gradient - mean) * 0.1
    square = square + (gradient * gradient - square) * 0.001
    return value - mean * np.float32(0.01) / (am.ops.sqrt(square) + 1e-7)


def test_adam_of_one_value_by_two_gradients_and_from_equal_means():
    x = rng.normal(size=(5,)).astype("float32")
    g, h = rng.normal(size=(2, 5)).astype("float32")
    zero = np.zeros(5, "float32")

    def both(x, g, h, m):
        return adam_by_hand(x, g, m, m), adam_by_hand(x, h, m, m), adam_by_hand(x, x, m, m)

    found = [t.numpy() for t in am.function(both)(x, g, h, zero)]
    with am.backend_scope("numpy"):
        want = [t.numpy() for t in both(*map(am.ops.convert_to_tensor, (x, g, h, zero)))]
    for got, right in zip(found, want, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within torch
@pytest.mark.parametrize(
    "run",
    [
        lambda x, i: am.ops.slice(x, i, (2,)) * 2.0,
        lambda x, i: am.ops.slice_update(x, i, x[:2] * 2.0) + 1.0,
        lambda x, i: am.ops.scatter_update(x, i[:, None], x[:1] * 3.0) + 1.0,
    ],
)
def test_what_reads_values_is_left_out_of_torch_compile(run):
    x, i = np.arange(5.0), np.int32([3])
    found = am.function(run, jit_compile=True)(x, i)
    with am.backend_scope("numpy"):
        np.testing.assert_array_equal(
            found.numpy(), run(am.ops.convert_to_tensor(x), am.ops.convert_to_tensor(i)).numpy()
        )
