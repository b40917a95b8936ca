# Lists the recipes.
default:
    @just --list

# Everything that a change must pass.
ci:
    .ci/run

# All tests, against a real Bitcoin Core and a real Electrum wallet; arguments go to `cargo test`.
test *arguments:
    contrib/test.sh {{arguments}}

# Our answers beside those of electrs and ElectrumX on one node (installs both: slow the first time).
differential:
    contrib/differential.sh

# Other people's clients before our server, with a table of what passed (installs them: some seconds).
clients *arguments:
    contrib/clients.sh {{arguments}}

# What our server, electrs and ElectrumX do of the protocol (installs the others: slow the first time).
conformance:
    contrib/conformance.sh

# Seeds of ours opened by a real Electrum wallet, and its seeds by us: many of every kind.
interop *arguments:
    contrib/interop.sh {{arguments}}

# How long a block takes from the node's announcement to a subscriber.
bench-notify *arguments:
    contrib/bench-notify.sh {{arguments}}

# Twenty thousand clients that wait for a block: what each takes, and when all know it. `just idle wss 4000` for others.
idle transport="tcp" clients="20000":
    BITCOIND_EXE="$(contrib/bitcoind.sh)" IDLE_TRANSPORT={{transport}} IDLE_CLIENTS={{clients}} \
        cargo test -p electrum-server-bins --test stories -- --ignored --nocapture idle

# What the server holds, and how long others wait, while clients ask for megabytes and read nothing.
unread transport="":
    cargo build --release -p electrum-server-bins --bin electrum-server
    BITCOIND_EXE="$(contrib/bitcoind.sh)" SERVER_EXE="$PWD/target/release/electrum-server" UNREAD_ONLY={{transport}} \
        cargo test -p electrum-server-bins --test stories -- --ignored --nocapture unread

# Our server beside electrs and ElectrumX: index, requests, memory (installs both: slow the first time).
bench-servers *arguments:
    contrib/bench-servers.sh {{arguments}}

# Runs one fuzz target (needs a nightly compiler and cargo-fuzz).
fuzz target *arguments:
    cargo +nightly fuzz run --fuzz-dir fuzz {{target}} {{arguments}}

# Every fuzz target, one after the other, so many seconds altogether (installs cargo-fuzz; needs a nightly compiler).
fuzz-all seconds="3600":
    contrib/fuzz.sh {{seconds}}

# The fuzz targets build on stable.
fuzz-check:
    cargo check -p electrum-fuzz --all-targets

# Licences, banned crates and sources of the dependencies; with ADVISORY_DB also known vulnerabilities.
deny:
    contrib/deny.sh

# Writes the public surface of the libraries to docs/api/.
api:
    contrib/api.sh

# The documentation of all crates.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# Formats everything.
fmt:
    cargo fmt --all
