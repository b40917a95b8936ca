#!/usr/bin/env bash
# Runs `electrum-tools conformance` against our server, electrs and ElectrumX on one regtest node, prints what each
# does, and fails when ours fails a check. contrib/other-servers.sh says where the others come from.
set -euo pipefail
cd "$(dirname "$0")/.."

contrib/setup.sh
source contrib/other-servers.sh
exec cargo test -p electrum-server-bins --test differential -- --ignored --nocapture tables_of_all_servers
