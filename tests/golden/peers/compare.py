"""Whether a recomputed number is the stored one, up to the rounding of both."""

import math

import numpy as np

DIGITS = 12  # of a stored number, where its text does not have more
# Both numbers come from float64 arithmetic, whose operations each round by 2^-53. Sums of up to 10^3 terms and a few dozen
# functions leave up to 2^8 such roundings of numbers as large as the tensor's largest.
ROUNDINGS = 2.0**8 * 2.0**-53


def digits_of(text):
    """Significant digits of a number as written; zeros at the end may have been dropped."""
    mantissa = text.lower().split("e")[0].lstrip("-").replace(".", "").lstrip("0")
    return max(DIGITS, len(mantissa))


def half_a_unit(number):
    """Half a unit in the last stored digit."""
    value = abs(float(number))
    if value == 0:
        return 0.0
    return 0.5 * 10.0 ** (math.floor(math.log10(value)) - digits_of(getattr(number, "text", "")) + 1)


class Comparison:
    """Of one tensor: the places that differ, and the largest difference relative to max(1, |stored|)."""

    def __init__(self, stored, found):
        """`stored` is a list of numbers (NaN and infinities as strings), `found` an array."""
        found = np.asarray(found, dtype=np.float64).ravel()
        values = np.array([float(x) for x in stored])
        self.places, self.largest = [], 0.0
        if len(values) != len(found):
            self.places, self.largest = [0], math.inf
            return
        finite = np.abs(values[np.isfinite(values)])
        rounding = ROUNDINGS * finite.max(initial=0.0)
        for place, (number, value, other) in enumerate(zip(stored, values, found)):
            if value == other or (np.isnan(value) and np.isnan(other)):
                continue
            difference = abs(other - value)
            allowed = half_a_unit(number) + rounding
            if not difference <= allowed:
                self.places.append(place)
            share = difference / max(1.0, abs(value)) if np.isfinite(difference) else math.inf
            self.largest = max(self.largest, share)


def leaves(stored, found, path=()):
    """Pairs of a stored tensor or list and the recomputed array, with their path under "expect"."""
    if isinstance(stored, dict) and "data" not in stored:
        if sorted(stored) != sorted(found):
            raise ValueError(f"{'.'.join(path)}: {sorted(found)} instead of {sorted(stored)}")
        for key, item in stored.items():
            yield from leaves(item, found[key], (*path, key))
    else:
        yield path, stored, np.asarray(found)


def numbers_of(leaf):
    return leaf["data"] if isinstance(leaf, dict) else leaf


def compared(case, found):
    """[(path, the stored leaf, the recomputed array, Comparison)] of a case."""
    results = []
    for path, leaf, array in leaves(case["expect"], found):
        if isinstance(leaf, dict) and [int(n) for n in leaf["shape"]] != list(array.shape):
            raise ValueError(f"{'.'.join(path)}: shape {list(array.shape)} instead of {[int(n) for n in leaf['shape']]}")
        results.append((path, leaf, array, Comparison(numbers_of(leaf), array)))
    return results
