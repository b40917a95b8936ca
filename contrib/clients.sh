#!/usr/bin/env bash
# Runs other people's clients before our server and a real Bitcoin Core, and ends with a table: the Debian Electrum, and
# what is published on crates.io, npm and PyPI, in the versions that the lock files name. What is missing is installed
# first: programs by apt-get, the clients into ${XDG_CACHE_HOME:-~/.cache}/electrum-server/clients. Arguments name the
# tests to run (all if absent).
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || { echo "cargo is missing: see https://rustup.rs" >&2; exit 1; }
programs=()
command -v node >/dev/null || programs+=(nodejs)
command -v npm >/dev/null || programs+=(npm)
python3 -c 'import ensurepip, venv' 2>/dev/null || programs+=(python3-venv)
contrib/setup.sh "${programs[@]}"
BITCOIND_EXE="$(contrib/bitcoind.sh)"
export BITCOIND_EXE

clients="$PWD/bins/tests/clients"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/electrum-server/clients"
mkdir -p "$cache/npm"

# Installed again whenever what is wanted has changed.
if ! cmp --silent "$clients/npm/package-lock.json" "$cache/npm/installed"; then
    cp "$clients/npm/package.json" "$clients/npm/package-lock.json" "$cache/npm"
    npm ci --prefix "$cache/npm" --ignore-scripts --no-audit --no-fund
    cp "$clients/npm/package-lock.json" "$cache/npm/installed"
fi
if ! cmp --silent "$clients/python/requirements.txt" "$cache/python/installed"; then
    rm -rf "$cache/python"
    python3 -m venv "$cache/python"
    "$cache/python/bin/pip" install --quiet --requirement "$clients/python/requirements.txt"
    cp "$clients/python/requirements.txt" "$cache/python/installed"
fi
export CLIENTS_NODE_MODULES="$cache/npm/node_modules"
export CLIENTS_PYTHON="$cache/python/bin/python"

CLIENTS_REPORT="$(mktemp)"
export CLIENTS_REPORT
trap 'rm -f "$CLIENTS_REPORT"' EXIT
result=0
# TLS of electrum-client brings a second cryptographic library: nothing else here needs it.
cargo test -p electrum-server-bins --features electrum-client/rustls-ring \
    --test clients -- --include-ignored "$@" || result=1
if [ "$#" -eq 0 ] && [ "${SKIP_ELECTRUM_WALLET:-}" != 1 ]; then
    electrum="${ELECTRUM_EXE:-electrum}"
    version="$(HOME="$cache" "$electrum" --regtest -D "$cache/electrum" --offline version)"
    for story in electrum_receives_pays:TCP "electrum_pins:TLS (pinned)"; do
        passed=passed
        cargo test -p electrum-server-bins --test stories -- "${story%%:*}" || { passed=FAILED; result=1; }
        printf 'Electrum|%s|%s|%s\n' "$version" "${story#*:}" "$passed" >>"$CLIENTS_REPORT"
    done
fi

[ ! -s "$CLIENTS_REPORT" ] || printf '%s|%s|%s|%s\n' client version transport result \
    | cat - <(sort "$CLIENTS_REPORT") | column -t -s '|'
exit "$result"
