"""Learn the sum of three numbers with `fit`; tape_loop_in_fifteen_lines.py does the same by hand."""

import amalthea as am

am.utils.set_random_seed(0)
x = am.random.uniform((100, 3), seed=1)
y = am.ops.sum(x, axis=1, keepdims=True)
model = am.Sequential([am.layers.Dense(16, activation="tanh"), am.layers.Dense(1)])
model.compile(optimizer=am.optimizers.SGD(0.1), loss="mse")
history = model.fit(x, y, batch_size=20, epochs=10, shuffle=False)
