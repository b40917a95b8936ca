#!/usr/bin/env bash
# Measures our server beside electrs and ElectrumX: makes a chain, builds each one's index of it, loads each with the
# same requests, and prints tables. `--help` lists the options; `--quick` takes a small chain.
#
# electrs is installed by cargo (it compiles RocksDB: needs clang, and a quarter of an hour) and ElectrumX by
# pip, both into ${XDG_CACHE_HOME:-~/.cache}/electrum-server, unless ELECTRS_EXE and ELECTRUMX_EXE name them. The chain
# and a node that has imported it stay there as well, in `bench` (or BENCH_SERVERS_DIR): two gigabytes, and three more
# while it runs.
set -euo pipefail
cd "$(dirname "$0")/.."

electrs_version=0.12.0
electrumx_version=2.0.0
cache="${XDG_CACHE_HOME:-$HOME/.cache}/electrum-server"

BITCOIND_EXE="$(contrib/bitcoind.sh)"
export BITCOIND_EXE

if [ -z "${ELECTRS_EXE:-}" ]; then
    root="$cache/electrs-$electrs_version"
    ELECTRS_EXE="$root/bin/electrs"
    [ -x "$ELECTRS_EXE" ] || cargo install electrs --version "$electrs_version" --locked --root "$root" >&2
fi
export ELECTRS_EXE

if [ -z "${ELECTRUMX_EXE:-}" ]; then
    root="$cache/electrumx-$electrumx_version"
    ELECTRUMX_EXE="$root/bin/electrumx_server"
    if [ ! -x "$ELECTRUMX_EXE" ]; then
        python3 -m venv "$root"
        "$root/bin/pip" install --quiet "e-x==$electrumx_version" plyvel >&2
    fi
fi
export ELECTRUMX_EXE

# Ten thousand clients are ten thousand sockets, on either side.
ulimit -n "$(ulimit -Hn)"
export BENCH_SERVERS_DIR="${BENCH_SERVERS_DIR:-$cache/bench}"
exec cargo bench -p electrum-server-bins --bench servers -- "$@"
