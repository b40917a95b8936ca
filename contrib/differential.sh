#!/usr/bin/env bash
# Holds our answers against those of electrs and ElectrumX on one regtest node, and fails on every
# difference that docs/differences.md does not explain. contrib/other-servers.sh says where those come from.
set -euo pipefail
cd "$(dirname "$0")/.."

contrib/setup.sh
source contrib/other-servers.sh
exec cargo test -p electrum-server-bins --test differential -- --ignored --nocapture every_difference_is_explained
