"""PyTorch's tutorial of text classification: the mean of a row's embeddings, then a dense layer.

    python text_classification.py [--epochs 10]

The tutorial's rows are news of four kinds, which it downloads; here they are lines of this
repository in four languages, so that nothing is downloaded.
"""

import argparse

import gradus_ml as gm
from data import Vocabulary, lines
from gradus_ml.layers import Dense, MaskedMean, TokenEmbedding


def main(epochs=10, rows=None):
    (train, y_train), (test, y_test), names = lines()
    vocabulary = Vocabulary(train, size=5000)
    x_train, x_test = vocabulary(train[:rows], 32), vocabulary(test[:rows], 32)

    model = gm.Sequential(
        [TokenEmbedding(5000, 64), MaskedMean(padding=0), Dense(4)],
        input_shape=32,
    )
    model.compile("cross_entropy", "adam", learning_rate=5e-3)
    model.fit(
        x_train,
        y_train[:rows],
        batch_size=64,
        epochs=epochs,
        validation_split=0.05,
        callbacks=lambda epoch, logs: print(epoch, logs),
    )
    score = model.evaluate(x_test, y_test[:rows])
    print("Test accuracy:", score["accuracy"])
    text = "let mut total = 0; // the sum of all rows"
    answer = model.predict(vocabulary([text], 32)).argmax()
    print(f"{text!r} is {names[answer]}")
    return score


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    main(**vars(parser.parse_args()))
