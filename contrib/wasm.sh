#!/usr/bin/env bash
# Builds the libraries for the web: the format crates with everything, and without the standard library for a target
# that has none; the protocol without sockets, which are the caller's. Their libsecp256k1 is C, which clang builds.
set -euo pipefail
cd "$(dirname "$0")/.."

export CC_wasm32_unknown_unknown="${CC_wasm32_unknown_unknown:-clang}"
export CC_wasm32v1_none="${CC_wasm32v1_none:-clang}"
if command -v rustup >/dev/null; then
    rustup target add wasm32-unknown-unknown wasm32v1-none
fi
cargo build --locked --target wasm32-unknown-unknown --all-features \
    -p electrum-seed -p electrum-slip132 -p electrum-psbt-legacy
cargo build --locked --target wasm32-unknown-unknown --features codec -p electrum-protocol

# One by one: features of one would be those of all.
bare() {
    cargo build --locked --target wasm32v1-none --no-default-features "$@"
}
bare -p electrum-slip132
bare -p electrum-psbt-legacy --features json
bare -p electrum-seed --features keys,miniscript,all-languages
