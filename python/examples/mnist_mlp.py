"""Keras's `mnist_mlp.py`: two dense layers of 512 units with dropout, on images of 28 × 28.

    python mnist_mlp.py [FOLDER of MNIST's four files] [--epochs 20]

Keras names 98.40 % on MNIST after 20 epochs.
"""

import argparse

import gradus_ml as gm
from data import SHIPPED, images
from gradus_ml.layers import Dense, Dropout, Flatten


def main(folder=SHIPPED, epochs=20, rows=None):
    x_train, y_train, x_test, y_test = images(folder)

    model = gm.Sequential(
        [
            Flatten(),
            Dense(512, "relu"),
            Dropout(0.2),
            Dense(512, "relu"),
            Dropout(0.2),
            Dense(10),
        ],
        input_shape=(28, 28, 1),
    )
    print(model.summary(128))
    model.compile("cross_entropy", "rmsprop")
    model.fit(
        x_train[:rows],
        y_train[:rows],
        batch_size=128,
        epochs=epochs,
        callbacks=lambda epoch, logs: print(epoch, logs),
    )
    score = model.evaluate(x_test[:rows], y_test[:rows])
    print("Test loss:", score["loss"])
    print("Test accuracy:", score["accuracy"])
    return score


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=SHIPPED)
    parser.add_argument("--epochs", type=int, default=20)
    main(**vars(parser.parse_args()))
