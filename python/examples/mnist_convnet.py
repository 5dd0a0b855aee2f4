"""Keras's `mnist_convnet.py`: two convolutions with max pooling, on images of 28 × 28.

    python mnist_convnet.py [FOLDER of MNIST's four files] [--epochs 15]

Keras names about 99 % on MNIST after 15 epochs.
"""

import argparse

import gradus_ml as gm
from data import SHIPPED, images
from gradus_ml.layers import Conv2d, Dense, Dropout, Flatten, MaxPool2d


def main(folder=SHIPPED, epochs=15, rows=None):
    x_train, y_train, x_test, y_test = images(folder)

    model = gm.Sequential(
        [
            Conv2d(32, 3, "relu"),
            MaxPool2d(2),
            Conv2d(64, 3, "relu"),
            MaxPool2d(2),
            Flatten(),
            Dropout(0.5),
            Dense(10),
        ],
        input_shape=(28, 28, 1),
    )
    model.compile("cross_entropy", "adam")
    model.fit(
        x_train[:rows],
        y_train[:rows],
        batch_size=128,
        epochs=epochs,
        validation_split=0.1,
        callbacks=lambda epoch, logs: print(epoch, logs),
    )
    score = model.evaluate(x_test[:rows], y_test[:rows])
    print("Test loss:", score["loss"])
    print("Test accuracy:", score["accuracy"])
    return score


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=SHIPPED)
    parser.add_argument("--epochs", type=int, default=15)
    main(**vars(parser.parse_args()))
