"""TensorFlow's names for what exists here, so that `import amalthea as tf` runs existing code.

Thin functions over the ops with TensorFlow's argument names, defaults and `name=` (which is accepted and has no effect:
graphs here name nodes by layers). `top.py` lists what is found as `tf.<name>`; `math.py`, `nn.py`, `linalg.py`,
`random.py` and so on are `tf.math`, `tf.nn` ... No other folder imports this one.

Where this differs from TensorFlow on purpose: tensors of different dtypes are promoted as everywhere here instead of
refused; `tf.shape`, `tf.size` and `tf.rank` give Python numbers, since shapes are known when code is traced; the
quotient of whole numbers has the dtype `floatx()`, not float64. An argument that cannot be honoured is an error.
"""
