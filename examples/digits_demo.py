"""Learn to read handwritten digits, save the model, load it again, and draw what happened.

    python examples/digits_demo.py [--output demo-output] [--epochs 12]

Ends with an error if fewer than 97 % of the held-out images are read correctly, or if the loaded model does not predict
exactly what the saved one did.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import amalthea as am

GOOD_ENOUGH = 0.97


def make_model() -> am.Model:
    """A small convolutional network for 8 x 8 grey images with values from 0 to 16."""
    layers = am.layers
    return am.Sequential(
        [
            am.Input((8, 8, 1)),
            layers.Rescaling(1 / 16),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def draw(history: dict[str, list[float]], images: np.ndarray, labels: np.ndarray, scores: np.ndarray, to: Path) -> None:
    """Write a picture: the training curve on the left, some predictions on the right, mistakes first and in red."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(12, 4.5), layout="constrained")
    curve_side, picture_side = figure.subfigures(1, 2, width_ratios=[1, 1.1])
    curve = curve_side.subplots()
    epochs = range(1, len(history["loss"]) + 1)
    curve.plot(epochs, history["loss"], label="loss, training")
    curve.plot(epochs, history["val_loss"], label="loss, held out")
    curve.plot(epochs, history["val_accuracy"], label="accuracy, held out", linestyle="--")
    curve.set(xlabel="epoch", ylim=(0, 1.05 * max(1.0, *history["loss"], *history["val_loss"])), title="Training")
    curve.xaxis.get_major_locator().set_params(integer=True)
    curve.legend()
    guesses = scores.argmax(axis=1)
    order = np.argsort(guesses == labels, kind="stable")[:24]
    for axis, i in zip(picture_side.subplots(4, 6).flat, order, strict=True):
        axis.imshow(images[i].reshape(8, 8), cmap="gray_r")
        right = guesses[i] == labels[i]
        title = f"{guesses[i]}" if right else f"{guesses[i]}, is {labels[i]}"
        axis.set_title(title, color="black" if right else "red", fontsize=10)
        axis.axis("off")
    picture_side.suptitle("Held-out images and what the model reads")
    figure.savefig(to, dpi=110)
    pyplot.close(figure)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train, save, load and draw a digits classifier.")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the model and the picture")
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    am.utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = am.datasets.digits.load_data()
    x_train, x_test = (np.reshape(x, (-1, 8, 8, 1)).astype("float32") for x in (x_train, x_test))
    print(f"{len(x_train)} images to learn from, {len(x_test)} held out; backend {am.config.backend()}")

    model = make_model()
    model.summary()
    model.compile(optimizer=am.optimizers.Adam(2e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.perf_counter()
    history = model.fit(x_train, y_train, batch_size=64, epochs=options.epochs, validation_data=(x_test, y_test))
    print(f"trained in {time.perf_counter() - start:.1f} s")
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"accuracy on the held-out images: {accuracy:.2%}")

    saved = options.output / "digits.keras"
    model.save(saved)
    scores = np.asarray(model.predict(x_test, verbose=0))
    loaded_scores = np.asarray(am.models.load_model(saved).predict(x_test, verbose=0))
    same = np.array_equal(scores, loaded_scores)
    print(f"saved {saved}; loaded again it predicts {'the same' if same else 'SOMETHING ELSE'}")

    picture = options.output / "digits.png"
    draw(history.history, x_test, np.asarray(y_test), scores, picture)
    print(f"drew {picture}")

    if accuracy < GOOD_ENOUGH:
        print(f"error: expected at least {GOOD_ENOUGH:.0%} on the held-out images", file=sys.stderr)
    return 0 if same and accuracy >= GOOD_ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
