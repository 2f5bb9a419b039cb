"""The model of fit_in_seven_lines.py, trained by hand. Write `@am.function` above `step` and it is compiled."""

import amalthea as am

am.utils.set_random_seed(0)
x = am.random.uniform((100, 3), seed=1)
y = am.ops.sum(x, axis=1, keepdims=True)
model = am.Sequential([am.layers.Dense(16, activation="tanh"), am.layers.Dense(1)])
optimizer = am.optimizers.SGD(0.1)


def step(x, y):
    with am.GradientTape() as tape:
        loss = am.ops.mean((model(x) - y) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    return loss


for _epoch in range(10):
    losses = [step(x[i : i + 20], y[i : i + 20]) for i in range(0, 100, 20)]
print("loss of the last epoch:", sum(map(float, losses)) / len(losses))
