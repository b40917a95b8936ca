#!/usr/bin/env bash
# Runs every fuzz target, one after the other: `contrib/fuzz.sh [SECONDS]`, an hour altogether if nothing is said.
# Needs a nightly compiler; installs cargo-fuzz. What crashes is named at the end: see CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-3600}"
tools="${XDG_CACHE_HOME:-$HOME/.cache}/electrum-server/tools"
export PATH="$tools/bin:$PATH"
cargo +nightly --version >/dev/null || { echo "install a nightly compiler: rustup toolchain install nightly" >&2; exit 1; }
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked --root "$tools" cargo-fuzz
# Optimizing across crates takes longer than it saves.
export CARGO_PROFILE_RELEASE_LTO=off

targets=()
for file in fuzz/fuzz_targets/*.rs; do
    targets+=("$(basename "$file" .rs)")
done
cargo +nightly fuzz build --fuzz-dir fuzz
each=$((seconds / ${#targets[@]}))
# No time at all would mean for ever.
[ "$each" -gt 0 ] || each=1
crashed=()
for target in "${targets[@]}"; do
    printf '\n== %s for %s s\n' "$target" "$each"
    options=("-max_total_time=$each" -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1)
    # The threads of its node live as long as the process; what the C library keeps for them counts as lost at times.
    [ "$target" != server_core_node ] || options+=(-detect_leaks=0)
    cargo +nightly fuzz run --fuzz-dir fuzz "$target" -- "${options[@]}" || crashed+=("$target")
done
if [ "${#crashed[@]}" -gt 0 ]; then
    printf '\ncrashed: %s\n' "${crashed[*]}"
    ls fuzz/artifacts/*/*
    exit 1
fi
printf '\nnothing crashed\n'
