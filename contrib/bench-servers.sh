#!/usr/bin/env bash
# Measures our server beside electrs and ElectrumX: makes a chain, builds each one's index of it, loads each with the
# same requests, and prints tables. `--help` lists the options; `--quick` takes a small chain.
#
# contrib/other-servers.sh says where the others come from. The chain and a node that has imported it stay in
# ${XDG_CACHE_HOME:-~/.cache}/electrum-server/bench (or BENCH_SERVERS_DIR): two gigabytes, and three more while it runs.
set -euo pipefail
cd "$(dirname "$0")/.."

source contrib/other-servers.sh

# Ten thousand clients are ten thousand sockets, on either side.
ulimit -n "$(ulimit -Hn)"
export BENCH_SERVERS_DIR="${BENCH_SERVERS_DIR:-$cache/bench}"
exec cargo bench -p electrum-server-bins --bench servers -- "$@"
