#!/usr/bin/env bash
# Measures gradus on a machine whose card is at hand for minutes: correctness first, then speed. It needs the card's driver and
# nothing else; what it runs was built elsewhere and lies beside it (`make card-pack`).
#
#     bash run.sh [RESULTS]          RESULTS is $OUT, or card-results beside the script, without an argument
#
# Ends by itself after CARD_SECONDS (480) at the most. Each step has a limit of its own and leaves its results behind, whatever
# becomes of the next one. Eight files: summary, devices, check, bench, tuning, training, peers (JSON), and log.txt.
set -uo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
results=${1:-${OUT:-$here/card-results}}
mkdir -p "$results" || exit 1
results=$(cd "$results" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
log=$results/log.txt
: >"$log"

total=${CARD_SECONDS:-480}
started=$(date +%s)
# So long the script needs at its end.
reserve=5
left() { echo $((started + total - reserve - $(date +%s))); }
say() { echo "$*" | tee -a "$log"; }

# The loader of Vulkan, where the machine has none; and NVIDIA's driver where its container toolkit puts it.
if ! ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; then
    export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
if [ -z "${VK_DRIVER_FILES:-}" ] && ! ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json >/dev/null 2>&1; then
    for file in /usr/local/nvidia/share/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json; do
        [ -e "$file" ] && export VK_DRIVER_FILES=$file VK_ICD_FILENAMES=$file && break
    done
fi
# What the tuner learns on this card, and nothing that another day learned.
export GRADUS_CACHE_DIR=$work/cache
gradus=$here/gradus
steps=()

# step NAME SECONDS OUTPUT COMMAND…: runs a command for so long at the most; its stdout is kept in a file, and how it ended.
step() {
    local name=$1 seconds=$2 output=$3 begun code
    shift 3
    [ "$(left)" -lt "$seconds" ] && seconds=$(left)
    if [ "$seconds" -lt 2 ]; then
        say "$name: left out, the time is over"
        steps+=("{\"step\": \"$name\", \"exit\": null, \"seconds\": 0}")
        return 1
    fi
    begun=$(date +%s)
    timeout -k 5 "$seconds" "$@" >"$output" 2>>"$log"
    code=$?
    say "$name: exit $code after $(($(date +%s) - begun)) s"
    steps+=("{\"step\": \"$name\", \"exit\": $code, \"seconds\": $(($(date +%s) - begun))}")
    return "$code"
}

# A JSON document of a file, or null where the step left none.
document() { if [ -s "$1" ] && grep -q '[]}]' <<<"$(tail -c 3 "$1")"; then cat "$1"; else echo null; fi; }

# A list whose process was killed lacks its end.
close_list() { [ -s "$1" ] && ! grep -q ']' <<<"$(tail -c 3 "$1")" && printf '\n]\n' >>"$1"; }

end() {
    local joined
    joined=$(printf ',\n  %s' "${steps[@]}")
    cat >"$results/summary.json" <<JSON
{
 "date": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
 "gradus": "$("$gradus" --version 2>/dev/null | cut -d' ' -f2)",
 "commit": "$(cat "$here/commit" 2>/dev/null)",
 "system": "$(uname -srm)",
 "seconds": $(($(date +%s) - started)),
 "steps": [${joined:1}
 ]
}
JSON
    say "results: $results ($(($(date +%s) - started)) s)"
}

step devices 15 "$results/devices.json" "$gradus" devices --json
if ! grep -q '"gpu": "' "$results/devices.json"; then
    say "no GPU adapter can be opened here; devices.json says why"
    end
    exit 1
fi
software=no
grep -q '"gpu": ".*(software adapter' "$results/devices.json" && software=yes

# 1. Every kernel against the reference: as it runs, without subgroups, and with wgpu's bounds checks.
check() { # NAME SECONDS
    step "check $1" "$2" "$work/check-$1.json" "$gradus" check --device gpu --json --seconds $(($2 - 15))
}
check default 130
GRADUS_SUBGROUPS=off check without_subgroups 50
GRADUS_CHECKED=1 check checked 40
if [ $software = yes ]; then
    # A card runs the variants for hardware anyway.
    GRADUS_VARIANTS=hardware check hardware_variants 40
fi
{
    printf '{'
    separator=
    for name in default without_subgroups checked hardware_variants; do
        [ -e "$work/check-$name.json" ] || continue
        printf '%s\n"%s": ' "$separator" "$name"
        document "$work/check-$name.json"
        separator=,
    done
    printf '}\n'
} >"$results/check.json"

# 2. Speed: everything, with the CPU beside it and the tuner on.
large=(--large)
[ $software = yes ] && large=()
step bench 145 "$results/bench.json" "$gradus" bench --device gpu --json --seconds 115 "${large[@]}"
close_list "$results/bench.json"

# 3. The tuner: its choices, and the products without it.
GRADUS_AUTOTUNE=off step "bench without tuner" 25 "$work/untuned.json" \
    "$gradus" bench --device gpu --json --seconds 12 matmul matmul_nt matmul_tn dense
close_list "$work/untuned.json"
{
    printf '{"choices": '
    choices=$(ls "$work"/cache/tuning_*.json 2>/dev/null | head -1)
    document "${choices:-/nonexistent}"
    printf ', "without_tuner": '
    document "$work/untuned.json"
    printf '}\n'
} >"$results/tuning.json"

# 4. Training, whole: the example network and a wider one, on the card and on the CPU.
train() { # DEVICE NAME ARGUMENTS…
    local device=$1 name=$2
    shift 2
    step "train $name $device" 30 "$work/train-$name-$device.json" "$gradus" train --data "$here/data/fashion-mnist-12k" \
        --device "$device" --epochs 5 --validation 0 --seed 1 --json "$@"
}
for device in gpu cpu; do
    train $device mse --loss mse --hidden 10 --batch-size 32
    train $device cross_entropy --loss cross_entropy --hidden 512,512 --batch-size 512
done
{
    printf '{'
    separator=
    for file in "$work"/train-*.json; do
        [ -e "$file" ] || continue
        name=$(basename "$file" .json)
        printf '%s\n"%s": ' "$separator" "${name#train-}"
        document "$file"
        separator=,
    done
    printf '}\n'
} >"$results/training.json"

# 5. The same work in other libraries, in turns with ours, where they are installed.
peers=()
for word in "torch-cuda torch" "torch-cuda-compile torch" "liger liger_kernel" "jax-cuda jax"; do
    set -- $word
    command -v python3 >/dev/null && [ -x "$here/peers/gradus/release/gradus-peer" ] || continue
    cuda="import torch; assert torch.cuda.is_available()"
    [ "$2" = jax ] && cuda="import jax; assert jax.devices('gpu')"
    timeout 40 python3 -c "import $2; $cuda" >/dev/null 2>&1 && peers+=("$1")
done
if [ ${#peers[@]} -eq 0 ]; then
    say "peers: none of PyTorch, Liger and JAX is installed here with a card that it can use"
    echo '{"cases": []}' >"$results/peers.json"
else
    cases=mse,huber,cross_entropy,matmul:1024x1024x1024,matmul:2048x2048x2048,dense,train_step:64x784x128x10,epoch
    each=$(($(left) / ${#peers[@]}))
    for peer in "${peers[@]}"; do
        step "peer $peer" "$each" "$work/peer.txt" python3 "$here/benches/peers/compare.py" --peer "$peer" --no-build \
            --target "$here/peers" --cases "$cases" --rounds 10 --limit 60 --json "$results/peers.json" --append
        cat "$work/peer.txt" >>"$log"
    done
fi
end
# Kernels that are wrong or were not checked make the whole a failure, and so does a benchmark that left nothing.
grep -q '^  "passed": true' "$work/check-default.json" && ! grep -q '"passed": false' "$results/check.json" &&
    grep -q '"name"' "$results/bench.json"
