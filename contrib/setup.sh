#!/usr/bin/env bash
# Installs the Debian packages that the tests need: what builds Bitcoin Core, and the Electrum wallet
# (without its graphical interface), and those that the arguments name. Does nothing when all of them
# are present. Uses sudo unless run as root.
set -euo pipefail

packages=(clang cmake g++ pkg-config libboost-dev libevent-dev libsqlite3-dev electrum)

# A node, or a wallet, that the environment names needs nothing from here.
wanted=("$@")
for package in "${packages[@]}"; do
    case "$package" in
        electrum) [ -z "${ELECTRUM_EXE:-}" ] || continue ;;
        *) [ -z "${BITCOIND_EXE:-}" ] || continue ;;
    esac
    wanted+=("$package")
done
missing=()
for package in "${wanted[@]}"; do
    status="$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)"
    [ "$status" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

command -v apt-get >/dev/null || {
    echo "contrib/setup.sh knows only apt-get; install these by other means: ${missing[*]}" >&2
    exit 1
}
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "run contrib/setup.sh as root, or install sudo" >&2; exit 1; }
    as_root=(sudo)
fi

echo "installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
install=(env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends)
# The package lists of a fresh image are empty or old; fetching them is only needed then.
"${as_root[@]}" "${install[@]}" "${missing[@]}" >/dev/null 2>&1 || {
    "${as_root[@]}" apt-get update --quiet >/dev/null
    "${as_root[@]}" "${install[@]}" "${missing[@]}" >/dev/null
}
