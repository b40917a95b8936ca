# Sourced by scripts that hold our server against others: installs electrs and ElectrumX, and exports where they are.
#
# electrs is installed by cargo (it compiles RocksDB: needs clang, and a quarter of an hour) and ElectrumX by
# pip, both into ${XDG_CACHE_HOME:-~/.cache}/electrum-server, unless ELECTRS_EXE and ELECTRUMX_EXE name them.
# shellcheck shell=bash

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
