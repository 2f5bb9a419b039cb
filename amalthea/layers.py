"""Layers: the building blocks of models (`keras.layers`)."""

from typing import TYPE_CHECKING

from amalthea.core.public_face import public_face
from amalthea.nn.input_spec import InputSpec
from amalthea.nn.layer import Layer
from amalthea.nn.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU
from amalthea.nn.layers.attention import AdditiveAttention, Attention
from amalthea.nn.layers.batch_normalization import BatchNormalization
from amalthea.nn.layers.bidirectional import Bidirectional
from amalthea.nn.layers.configs import deserialize, serialize
from amalthea.nn.layers.conv import Conv1D, Conv2D, Conv3D
from amalthea.nn.layers.conv import Conv1D as Convolution1D
from amalthea.nn.layers.conv import Conv2D as Convolution2D
from amalthea.nn.layers.conv import Conv3D as Convolution3D
from amalthea.nn.layers.conv_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from amalthea.nn.layers.conv_transpose import Conv1DTranspose as Convolution1DTranspose
from amalthea.nn.layers.conv_transpose import Conv2DTranspose as Convolution2DTranspose
from amalthea.nn.layers.conv_transpose import Conv3DTranspose as Convolution3DTranspose
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
from amalthea.nn.layers.global_pooling import GlobalAveragePooling1D as GlobalAvgPool1D
from amalthea.nn.layers.global_pooling import GlobalAveragePooling2D as GlobalAvgPool2D
from amalthea.nn.layers.global_pooling import GlobalAveragePooling3D as GlobalAvgPool3D
from amalthea.nn.layers.global_pooling import GlobalMaxPooling1D as GlobalMaxPool1D
from amalthea.nn.layers.global_pooling import GlobalMaxPooling2D as GlobalMaxPool2D
from amalthea.nn.layers.global_pooling import GlobalMaxPooling3D as GlobalMaxPool3D
from amalthea.nn.layers.grouped_query_attention import GroupedQueryAttention
from amalthea.nn.layers.grouped_query_attention import GroupedQueryAttention as GroupQueryAttention
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
from amalthea.nn.layers.pooling import AveragePooling1D as AvgPool1D
from amalthea.nn.layers.pooling import AveragePooling2D as AvgPool2D
from amalthea.nn.layers.pooling import AveragePooling3D as AvgPool3D
from amalthea.nn.layers.pooling import MaxPooling1D as MaxPool1D
from amalthea.nn.layers.pooling import MaxPooling2D as MaxPool2D
from amalthea.nn.layers.pooling import MaxPooling3D as MaxPool3D
from amalthea.nn.layers.repeat_vector import RepeatVector
from amalthea.nn.layers.rescaling import Normalization, Rescaling
from amalthea.nn.layers.reshape import Reshape
from amalthea.nn.layers.rnn import RNN
from amalthea.nn.layers.separable_conv import SeparableConv1D, SeparableConv2D
from amalthea.nn.layers.separable_conv import SeparableConv1D as SeparableConvolution1D
from amalthea.nn.layers.separable_conv import SeparableConv2D as SeparableConvolution2D
from amalthea.nn.layers.simple_rnn import SimpleRNN, SimpleRNNCell
from amalthea.nn.layers.softmax import Softmax
from amalthea.nn.layers.stacked_rnn_cells import StackedRNNCells
from amalthea.nn.layers.time_distributed import TimeDistributed
from amalthea.nn.layers.upsampling import UpSampling1D, UpSampling2D, UpSampling3D
from amalthea.nn.layers.wrapper import Wrapper

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "GroupedQueryAttention",
    "Identity",
    "Input",
    "InputLayer",
    "InputSpec",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "StackedRNNCells",
    "Subtract",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "Wrapper",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "serialize",
    "subtract",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = public_face(__name__)
