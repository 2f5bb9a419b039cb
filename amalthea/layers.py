"""Layers: the building blocks of models (`keras.layers`)."""
# ruff: noqa: F403

# The first half: maps, activations, shapes, merging, noise, normalisation.
from amalthea.nn.layers.activation import *
from amalthea.nn.layers.batch_normalization import *
from amalthea.nn.layers.dense import *
from amalthea.nn.layers.dropout import *
from amalthea.nn.layers.einsum_dense import *
from amalthea.nn.layers.embedding import *
from amalthea.nn.layers.identity import *
from amalthea.nn.layers.lambda_layer import *
from amalthea.nn.layers.layer_normalization import *
from amalthea.nn.layers.masking import *
from amalthea.nn.layers.merging import *
from amalthea.nn.layers.padding import *
from amalthea.nn.layers.rescaling import *
from amalthea.nn.layers.reshaping import *
from amalthea.nn.layers.upsampling import *
