"""Layers: the building blocks of models (`keras.layers`)."""
# ruff: noqa: F401

from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU
from amalthea.nn.layers.attention import AdditiveAttention, Attention
from amalthea.nn.layers.batch_normalization import BatchNormalization
from amalthea.nn.layers.bidirectional import Bidirectional
from amalthea.nn.layers.configs import deserialize, serialize
from amalthea.nn.layers.conv import Conv1D, Conv2D, Conv3D
from amalthea.nn.layers.conv_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from amalthea.nn.layers.dense import Dense
from amalthea.nn.layers.depthwise_conv import DepthwiseConv1D, DepthwiseConv2D
from amalthea.nn.layers.dropout import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from amalthea.nn.layers.einsum_dense import EinsumDense
from amalthea.nn.layers.embedding import Embedding
from amalthea.nn.layers.flatten import Flatten
from amalthea.nn.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from amalthea.nn.layers.grouped_query_attention import GroupedQueryAttention
from amalthea.nn.layers.gru import GRU, GRUCell
from amalthea.nn.layers.identity import Identity
from amalthea.nn.layers.input_layer import Input, InputLayer
from amalthea.nn.layers.lambda_layer import Lambda
from amalthea.nn.layers.layer_normalization import (
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from amalthea.nn.layers.lstm import LSTM, LSTMCell
from amalthea.nn.layers.masking import Masking
from amalthea.nn.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from amalthea.nn.layers.multi_head_attention import MultiHeadAttention
from amalthea.nn.layers.padding import Cropping1D, Cropping2D, Cropping3D, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D
from amalthea.nn.layers.permute import Permute
from amalthea.nn.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from amalthea.nn.layers.repeat_vector import RepeatVector
from amalthea.nn.layers.rescaling import Normalization, Rescaling
from amalthea.nn.layers.reshape import Reshape
from amalthea.nn.layers.rnn import RNN
from amalthea.nn.layers.separable_conv import SeparableConv1D, SeparableConv2D
from amalthea.nn.layers.simple_rnn import SimpleRNN, SimpleRNNCell
from amalthea.nn.layers.softmax import Softmax
from amalthea.nn.layers.stacked_rnn_cells import StackedRNNCells
from amalthea.nn.layers.time_distributed import TimeDistributed
from amalthea.nn.layers.upsampling import UpSampling1D, UpSampling2D, UpSampling3D
from amalthea.nn.layers.wrapper import Wrapper
from amalthea.nn.registry import exports

globals().update(exports("keras.layers"))  # aliases too, such as Conv2D's older name Convolution2D
