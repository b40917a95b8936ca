#!/usr/bin/env bash
# Holds our answers against those of electrs and ElectrumX on one regtest node, and fails on every
# difference that docs/differences.md does not explain.
#
# electrs is installed by cargo (it compiles RocksDB: needs clang, and a quarter of an hour) and ElectrumX by
# pip, both into ${XDG_CACHE_HOME:-~/.cache}/electrum-server, unless ELECTRS_EXE and ELECTRUMX_EXE name them.
set -euo pipefail
cd "$(dirname "$0")/.."

electrs_version=0.12.0
electrumx_version=2.0.0
cache="${XDG_CACHE_HOME:-$HOME/.cache}/electrum-server"

contrib/setup.sh
BITCOIND_EXE="$(contrib/bitcoind.sh)"
export BITCOIND_EXE

if [ -z "${ELECTRS_EXE:-}" ]; then
    root="$cache/electrs-$electrs_version"
    ELECTRS_EXE="$root/bin/electrs"
    [ -x "$ELECTRS_EXE" ] || cargo install electrs --version "$electrs_version" --locked --root "$root"
fi
export ELECTRS_EXE

if [ -z "${ELECTRUMX_EXE:-}" ]; then
    root="$cache/electrumx-$electrumx_version"
    ELECTRUMX_EXE="$root/bin/electrumx_server"
    if [ ! -x "$ELECTRUMX_EXE" ]; then
        python3 -m venv "$root"
        "$root/bin/pip" install --quiet "e-x==$electrumx_version" plyvel
    fi
fi
export ELECTRUMX_EXE

exec cargo test -p electrum-server-bins --test differential -- --ignored --nocapture
