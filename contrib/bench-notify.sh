#!/usr/bin/env bash
# Measures how long a block takes from the node's announcement to a subscribed client, with an optimized
# server. Prints median and maximum in milliseconds.
set -euo pipefail
cd "$(dirname "$0")/.."

BITCOIND_EXE="$(contrib/bitcoind.sh)"
export BITCOIND_EXE
exec cargo test --release -p electrum-server-bins --test stories notify_latency -- --ignored --nocapture
