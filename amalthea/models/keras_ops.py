"""How Keras 3 names the ops that stand between the layers of a functional model, in configs.

Keras writes a call of an op as an object `keras.src.ops.<module>.<Class>` whose config holds the static arguments and
whose inbound node holds the others. Class names are the op names in camel case, with few exceptions, and the arguments
are split the same way in nearly all ops, so that a table of modules and exceptions says it all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amalthea.core.registry import registry

_MODULES = {
    "numpy": """
        abs absolute add all allclose amax amin angle any append arange arccos arccosh arcsin arcsinh arctan arctan2
        arctanh argmax argmin argpartition argsort array array_split average bincount bitwise_and bitwise_invert
        bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor broadcast_to cbrt ceil clip
        concatenate conj conjugate copy corrcoef correlate cos cosh count_nonzero cross cumprod cumsum deg2rad diag
        diagflat diagonal diff digitize divide divide_no_nan dot dsplit dstack einsum empty_like equal exp exp2
        expand_dims expm1 fabs flip fliplr flipud floor floor_divide fmax fmin fmod full full_like gcd get_item greater
        greater_equal heaviside histogram hsplit hstack hypot i0 imag inner isclose isfinite isin isinf isnan isneginf
        isposinf isreal kron lcm ldexp left_shift less less_equal linspace log log10 log1p log2 logaddexp logaddexp2
        logical_and logical_not logical_or logical_xor logspace matmul max maximum mean median meshgrid min minimum mod
        moveaxis multiply nan_to_num nanmax nanmean nanmin nanprod nanstd nansum nanvar negative nextafter nonzero
        not_equal ones_like outer pad percentile power prod ptp quantile rad2deg ravel real reciprocal repeat reshape
        right_shift roll rot90 round searchsorted select sign signbit sin sinc sinh size slogdet sort split sqrt square
        squeeze stack std subtract sum swapaxes take take_along_axis tan tanh tensordot tile trace transpose trapezoid
        tril triu true_divide trunc unique unravel_index vander var vdot view vsplit vstack where zeros_like""",
    "nn": """
        adaptive_average_pool adaptive_max_pool average_pool batch_normalization binary_crossentropy
        categorical_crossentropy celu conv conv_transpose ctc_decode ctc_loss depth_to_space depthwise_conv
        dot_product_attention elu fold gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
        layer_normalization leaky_relu log_sigmoid log_softmax max_pool moments multi_hot normalize one_hot polar psnr
        relu relu6 rms_normalization selu separable_conv sigmoid silu soft_shrink softmax softplus softsign
        space_to_depth sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparsemax squareplus swish
        tanh_shrink threshold unfold""",
    "math": """
        cdist erf erfc erfinv extract_sequences fft fft2 ifft2 in_top_k irfft istft logdet logsumexp rfft rsqrt
        segment_max segment_min segment_prod segment_sum stft top_k view_as_complex view_as_real""",
    "core": """
        associative_scan cast convert_to_tensor saturate_cast scatter scatter_update slice slice_update stop_gradient
        unstack""",
    "image": """
        affine_transform crop_images extract_patches gaussian_blur hsv_to_rgb map_coordinates pad_images
        perspective_transform resize rgb_to_grayscale rgb_to_hsv scale_and_translate sobel_edges ssim""",
    "linalg": """
        cholesky cholesky_inverse det eig eigh inv lstsq lu_factor matrix_rank norm pinv qr solve solve_triangular
        svd""",
}
_CLASSES = {
    "abs": "Absolute",
    "allclose": "AllClose",
    "batch_normalization": "BatchNorm",
    "cdist": "CDist",
    "conj": "Conjugate",
    "ctc_decode": "CTCDecode",
    "ctc_loss": "CTCLoss",
    "fft": "FFT",
    "fft2": "FFT2",
    "hard_swish": "HardSilu",
    "hsv_to_rgb": "HSVToRGB",
    "ifft2": "IFFT2",
    "irfft": "IRFFT",
    "isin": "IsIn",
    "istft": "ISTFT",
    "layer_normalization": "LayerNorm",
    "psnr": "PSNR",
    "rfft": "RFFT",
    "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm",
    "searchsorted": "SearchSorted",
    "ssim": "SSIM",
    "stft": "STFT",
    "svd": "SVD",
    "swish": "Silu",
}
# Arguments that Keras keeps in the config although they may be tensors, and static ones that it passes in the call.
_IN_CONFIG = {"clip": ("x_min", "x_max")}
_IN_CALL = {
    "digitize": ("bins",),
    "get_item": ("key",),
    "pad": ("constant_values",),
    "isclose": ("rtol", "atol"),
    "full_like": ("fill_value",),
    "select": ("default",),
    "slice": ("start_indices",),
    "linspace": ("start", "stop"),
    "logspace": ("start", "stop"),
    "arange": ("start", "stop", "step"),
}
MODULES = {name: f"keras.src.ops.{module}" for module, names in _MODULES.items() for name in names.split()}


def keras_class(op_name: str) -> tuple[str, str]:
    """The module and class under which an op is written; ops that Keras has not are written as ours.

    >>> keras_class("expand_dims")
    ('keras.src.ops.numpy', 'ExpandDims')
    """
    module = MODULES.get(op_name, "amalthea.ops")
    if module == "amalthea.ops":
        return module, op_name
    return module, _CLASSES.get(op_name) or "".join(part[:1].upper() + part[1:] for part in op_name.split("_"))


_BY_CLASS = {keras_class(name): name for name in MODULES if name not in ("abs", "conj", "hard_swish", "swish")}


def op_of_class(module: str, class_name: str) -> Callable[..., Any] | None:
    """Our op for a class that a file names, or None. Nothing is imported: unknown names find nothing."""
    name = class_name if module == "amalthea.ops" else _BY_CLASS.get((module, class_name))
    return registry.get(name) if name is not None else None


def split_arguments(op: Any) -> tuple[list[str], list[str]]:
    """The parameters of an op that go into the config, and those that are passed in the call."""
    in_config = [
        name
        for name in op.parameters
        if (name not in op.tensors or name in _IN_CONFIG.get(op.name, ())) and name not in _IN_CALL.get(op.name, ())
    ]
    return in_config, [name for name in op.parameters if name not in in_config]
