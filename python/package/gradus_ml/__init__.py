"""Loss functions with their gradients on any GPU and CPU, networks and recommenders.

    >>> import gradus_ml as gm, numpy as np
    >>> value, gradient = gm.mse(np.float32([1, 2]), np.float32([0, 4]))
    >>> value, gradient.tolist()
    (2.5, [1.0, -2.0])

Every loss is a function here (`gm.huber`, `gm.cross_entropy`, ...; `gm.losses()` lists them), and a
`gm.Loss` with its options for many calls. `gm.Sequential` trains networks. `gradus_ml.torch`,
`gradus_ml.sklearn` and `gradus_ml.lightfm` have the habits of these libraries and need them.
"""

import os as _os

from . import _gradus, callbacks, functional, layers, zoo
from ._catalogue import Input, LossInfo, Option, losses
from ._gradus import Device, Loss, __version__, get_num_threads, set_num_threads
from ._named import Activation, Optimizer, Schedule
from .callbacks import Callback, EarlyStopping
from .functional import *  # noqa: F403
from .model import History, Sequential, load

__all__ = [
    "Activation",
    "Callback",
    "Device",
    "EarlyStopping",
    "History",
    "Input",
    "Loss",
    "LossInfo",
    "Optimizer",
    "Option",
    "Schedule",
    "Sequential",
    "__version__",
    "callbacks",
    "functional",
    "get_num_threads",
    "layers",
    "load",
    "losses",
    "set_num_threads",
    "zoo",
    *functional.__all__,
]

if hasattr(_os, "register_at_fork"):
    # The threads of a process are not there in a forked child, as of multiprocessing.
    _os.register_at_fork(after_in_child=_gradus._after_fork)
