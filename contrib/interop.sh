#!/usr/bin/env bash
# Generates many seeds of every type and language, here and with a real Electrum wallet, opens them on
# both sides with several passphrases, and compares master keys, private keys and addresses. Installs
# the wallet if it is missing. The first argument says how many seeds of each kind (200 if absent); the
# others are passed on to the test.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || { echo "cargo is missing: see https://rustup.rs" >&2; exit 1; }
contrib/setup.sh
ELECTRUM_SEEDS="${1:-200}"
export ELECTRUM_SEEDS
shift || true
exec cargo test --release -p electrum-seed --all-features --test electrum -- "$@"
