#!/usr/bin/env bash
# Builds the format crates for the web, without the standard library. Their libsecp256k1 is C, which clang
# builds for this target.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
if command -v rustup >/dev/null; then
    rustup target add "$target"
fi
export CC_wasm32_unknown_unknown="${CC_wasm32_unknown_unknown:-clang}"
build() {
    cargo build --locked --target "$target" --no-default-features "$@"
}
build -p electrum-slip132
build -p electrum-psbt-legacy --features json
build -p electrum-seed --features keys,all-languages
