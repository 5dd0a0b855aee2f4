"""LightFM's own tests upon `gradus_ml.lightfm`: python lightfm_suite.py CHECKOUT [pytest options].

CHECKOUT is one of https://github.com/lyst/lightfm. Its tests and its `datasets` are run from there, with
`lightfm` being this package; MovieLens 100k is where LightFM keeps it (`~/lightfm_data`), or is fetched there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODULES = {
    "__init__.py": "from gradus_ml.lightfm import LightFM\n\n__version__ = '1.17'\n",
    "lightfm.py": "from gradus_ml.lightfm import LightFM\n",
    "evaluation.py": "from gradus_ml.lightfm.evaluation import *\n",
    "cross_validation.py": "from gradus_ml.lightfm.cross_validation import *\n",
    "data.py": "from gradus_ml.lightfm.data import *\n",
    # What one test takes of LightFM's compiled module; it fails by name.
    "_lightfm_fast.py": "class CSRMatrix:\n    def __init__(self, matrix):\n        self.matrix = matrix\n",
}


def main() -> int:
    checkout = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "lightfm"
        package.mkdir()
        for name, text in MODULES.items():
            (package / name).write_text(text)
        shutil.copytree(checkout / "lightfm" / "datasets", package / "datasets")
        shutil.copytree(checkout / "tests", Path(folder) / "tests")
        paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests",
            *sys.argv[2:],
        ]
        return subprocess.run(command, cwd=folder, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
