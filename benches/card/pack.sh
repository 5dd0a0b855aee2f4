#!/usr/bin/env bash
# Gathers all that `run.sh` needs into target/card: release binaries, the loader of Vulkan, the images, the scripts of the peers.
# Less than 64 MiB; also as target/card.tar.gz.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
pack=$target/card
cargo build --release
# In the same folder: the packages are those of the command, built already.
cargo build --release --manifest-path benches/peers/gradus/Cargo.toml --target-dir "$target"
rm -rf "$pack"
mkdir -p "$pack/lib" "$pack/data" "$pack/benches/peers" "$pack/peers/gradus/release"
cp benches/card/run.sh "$pack/"
cp -r data/fashion-mnist-12k "$pack/data/"
cp -r benches/peers/compare.py benches/peers/python "$pack/benches/peers/"
strip -o "$pack/gradus" "$target/release/gradus"
strip -o "$pack/peers/gradus/release/gradus-peer" "$target/release/gradus-peer"
loader=$(ldconfig -p 2>/dev/null | sed -n 's/.*libvulkan\.so\.1 .*x86-64.* => //p' | head -1)
if [ -n "$loader" ]; then cp -L "$loader" "$pack/lib/libvulkan.so.1"; fi
git describe --always --dirty >"$pack/commit" 2>/dev/null || true
tar -C "$target" -czf "$target/card.tar.gz" card
du -sh "$pack" "$target/card.tar.gz"
bytes=$(du -sb "$pack" | cut -f1)
if [ "$bytes" -gt $((64 << 20)) ]; then
    echo "error: $bytes bytes are more than 64 MiB" >&2
    exit 1
fi
