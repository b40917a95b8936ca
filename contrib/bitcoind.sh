#!/usr/bin/env bash
# Builds `bitcoind` and `bitcoin-cli` (no wallet, no ZMQ) for the regtest tests from the Bitcoin Core
# sources inside the crate `libbitcoinkernel-sys`, and prints the path of `bitcoind`.
#
#   export BITCOIND_EXE="$(contrib/bitcoind.sh)"
#
# Does nothing but print the path when BITCOIND_EXE is already set, or when an earlier run left its
# result in the cache (${XDG_CACHE_HOME:-~/.cache}/electrum-server). Needs cmake, a C++20 compiler and
# the headers of Boost, libevent and SQLite: cmake g++ libboost-dev libevent-dev libsqlite3-dev.
set -euo pipefail

crate_version=0.4.1

if [ -n "${BITCOIND_EXE:-}" ]; then
    [ -x "$BITCOIND_EXE" ] || { echo "BITCOIND_EXE is not an executable: $BITCOIND_EXE" >&2; exit 1; }
    printf '%s\n' "$BITCOIND_EXE"
    exit 0
fi

cache="${XDG_CACHE_HOME:-$HOME/.cache}/electrum-server/bitcoin-core-$crate_version"
if [ -x "$cache/bin/bitcoind" ] && [ -x "$cache/bin/bitcoin-cli" ]; then
    printf '%s\n' "$cache/bin/bitcoind"
    exit 0
fi

for tool in cargo cmake c++; do
    command -v "$tool" >/dev/null || { echo "contrib/bitcoind.sh needs $tool" >&2; exit 1; }
done

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# A throw-away package is the way to have cargo fetch and unpack one crate.
mkdir -p "$work/fetch/src"
: > "$work/fetch/src/lib.rs"
cat > "$work/fetch/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"

[dependencies]
libbitcoinkernel-sys = "=$crate_version"

[workspace]
TOML
sources="$(cd "$work/fetch" && cargo metadata --format-version 1 2>"$work/fetch.log" \
    | grep -o '"manifest_path":"[^"]*libbitcoinkernel-sys-[^"]*Cargo.toml"' \
    | head -n 1 | cut -d '"' -f 4)" || true
[ -n "$sources" ] || { cat "$work/fetch.log" >&2; echo "cannot fetch libbitcoinkernel-sys $crate_version" >&2; exit 1; }
sources="$(dirname "$sources")/bitcoin"

echo "building Bitcoin Core from $sources (several minutes, once)" >&2
cmake -S "$sources" -B "$work/build" -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_DAEMON=ON -DBUILD_CLI=ON \
    -DENABLE_WALLET=OFF -DENABLE_IPC=OFF -DWITH_ZMQ=OFF -DWITH_EMBEDDED_ASMAP=OFF \
    -DBUILD_TX=OFF -DBUILD_UTIL=OFF -DBUILD_UTIL_CHAINSTATE=OFF -DBUILD_KERNEL_LIB=OFF \
    -DBUILD_GUI=OFF -DBUILD_TESTS=OFF -DBUILD_BENCH=OFF -DBUILD_FUZZ_BINARY=OFF \
    -DINSTALL_MAN=OFF >"$work/cmake.log" 2>&1 || { cat "$work/cmake.log" >&2; exit 1; }
cmake --build "$work/build" --parallel "$(nproc)" --target bitcoind bitcoin-cli \
    >"$work/build.log" 2>&1 || { tail -n 60 "$work/build.log" >&2; exit 1; }

mkdir -p "$cache/bin"
# Copied under another name first: a run that is cut off leaves no half-written program behind.
for program in bitcoin-cli bitcoind; do
    cp "$work/build/bin/$program" "$cache/bin/.$program.part"
    mv "$cache/bin/.$program.part" "$cache/bin/$program"
done
printf '%s\n' "$cache/bin/bitcoind"
