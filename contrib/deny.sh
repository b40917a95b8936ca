#!/usr/bin/env bash
# Checks the dependencies against deny.toml: licences, banned crates and sources, without the network. With a clone of
# the RustSec advisory database, known vulnerabilities too:
#
#     ADVISORY_DB=~/advisory-db contrib/deny.sh
#
# Installs cargo-deny into the cache (a few minutes, once).
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools="${XDG_CACHE_HOME:-$HOME/.cache}/electrum-server/cargo-deny-$version"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

[ -x "$tools/bin/cargo-deny" ] ||
    CARGO_TARGET_DIR="$work/build" cargo install --quiet --locked --root "$tools" --version "=$version" cargo-deny
deny() {
    "$tools/bin/cargo-deny" --locked "$@"
}
# What a package that is not there would be licensed under cannot be known: fetch all of them first.
cargo fetch --locked --quiet
deny --offline check --hide-inclusion-graph --allow duplicate licenses bans sources

if [ -z "${ADVISORY_DB:-}" ]; then
    echo "advisories not checked: set ADVISORY_DB to a clone of the RustSec advisory database" >&2
    exit
fi
# The name under which cargo-deny looks for its default database.
mkdir "$work/databases"
git clone --quiet -- "$ADVISORY_DB" "$work/databases/advisory-db-3157b0e258782691"
sed "s|^\[advisories\]|&\ndb-path = \"$work/databases\"|" deny.toml >"$work/deny.toml"
deny --offline --config "$work/deny.toml" check --hide-inclusion-graph advisories
