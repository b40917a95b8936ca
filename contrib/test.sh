#!/usr/bin/env bash
# Runs all tests, against a real Bitcoin Core and a real Electrum wallet, installing and building what
# is missing first. Arguments are passed on to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || { echo "cargo is missing: see https://rustup.rs" >&2; exit 1; }
contrib/setup.sh
BITCOIND_EXE="$(contrib/bitcoind.sh)"
export BITCOIND_EXE

if [ "$#" -eq 0 ]; then
    set -- --workspace --all-features
fi
exec cargo test "$@"
