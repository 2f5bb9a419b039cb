"""Linear algebra under the name that Keras also gives it, `ops.linalg`."""

from amalthea.ops.contractions import norm as norm
