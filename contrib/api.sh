#!/usr/bin/env bash
# The public surface of the libraries as text, one file each in docs/api/, so that a change of it is seen.
#
#     contrib/api.sh            writes the files
#     contrib/api.sh --check    compares, and says how the surface differs from them
#
# Needs nothing but cargo; installs cargo-public-api into the cache. The compiler's description of a crate is not stable:
# with a toolchain whose description the tool cannot read, nothing is compared, and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.52.0
crates=(electrum-protocol electrum-psbt-legacy electrum-seed electrum-server-core electrum-slip132)
tools="${XDG_CACHE_HOME:-$HOME/.cache}/electrum-server/cargo-public-api-$version"
target="$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"
new="$(mktemp -d)"
trap 'rm -rf "$new"' EXIT

# Without the flags of the caller: they would be another build.
unset RUSTDOCFLAGS
[ -x "$tools/bin/cargo-public-api" ] ||
    CARGO_TARGET_DIR="$new/build" cargo install --quiet --locked --root "$tools" --version "=$version" cargo-public-api ||
    { echo "cannot install cargo-public-api $version: the surface of the libraries was not looked at" >&2; exit 0; }
for crate in "${crates[@]}"; do
    library="${crate//-/_}"
    # Its library has a name of its own.
    library="${library/electrum_slip132/slip132}"
    RUSTC_BOOTSTRAP=1 cargo rustdoc --quiet -p "$crate" --lib --all-features -- \
        -Z unstable-options --output-format json --cap-lints allow
    if ! "$tools/bin/cargo-public-api" public-api --rustdoc-json "$target/doc/$library.json" -ss \
        >"$new/$crate.txt" 2>"$new/error"; then
        echo "$(rustc --version) does not describe crates as cargo-public-api $version reads it:" >&2
        echo "the surface of the libraries was not looked at" >&2
        exit 0
    fi
done

if [ "${1:-}" != --check ]; then
    mkdir -p docs/api
    for crate in "${crates[@]}"; do
        cp "$new/$crate.txt" "docs/api/$crate.txt"
    done
    exit
fi
changed=()
for crate in "${crates[@]}"; do
    diff -u "docs/api/$crate.txt" "$new/$crate.txt" || changed+=("$crate")
done
if [ "${#changed[@]}" -gt 0 ]; then
    echo "the public surface differs from docs/api/: ${changed[*]}" >&2
    echo "when that is meant, run contrib/api.sh (or just api), and commit what it writes" >&2
    exit 1
fi
