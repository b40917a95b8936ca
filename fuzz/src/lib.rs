//! The bodies of the fuzz targets: plain functions of bytes that panic when something is wrong.
//!
//! The targets themselves, in `fuzz_targets/`, are empty programs unless `cargo fuzz` builds them. The tests here run each
//! body on stable: over a few inputs, or many random ones, and over every input that once crashed it.

pub mod conversation;
pub mod net;
pub mod node;
pub mod protocol;
pub mod psbt_legacy;
pub mod seed;
pub mod server_core;
pub mod session;
pub mod slip132;
pub mod snapshot;
pub mod wallet;

/// Panics when what is done with these bytes is wrong.
pub type Body = fn(&[u8]);

/// Every target: its name and its body.
pub const TARGETS: &[(&str, Body)] = &[
    ("conversation", conversation::conversation),
    ("protocol_client", protocol::client),
    ("protocol_envelope", protocol::envelope),
    ("protocol_frame", protocol::frame),
    ("protocol_net", net::net),
    ("protocol_notification", protocol::notification),
    ("protocol_request", protocol::request),
    ("protocol_response", protocol::response),
    ("protocol_server", protocol::server),
    ("protocol_values", protocol::values),
    ("psbt_legacy_key", psbt_legacy::key),
    ("psbt_legacy_psbt", psbt_legacy::psbt),
    ("psbt_legacy_round_trip", psbt_legacy::round_trip),
    ("psbt_legacy_text", psbt_legacy::text),
    ("psbt_legacy_transaction", psbt_legacy::transaction),
    ("seed_number", seed::number),
    ("seed_old", seed::old),
    ("seed_phrase", seed::phrase),
    ("server_core_block", server_core::block),
    ("server_core_block_files", server_core::block_files),
    ("server_core_node", node::node_answers),
    ("server_core_piece", server_core::piece),
    ("server_core_proxy", server_core::proxy),
    ("server_core_rest", server_core::rest),
    ("server_core_rows", server_core::rows),
    ("server_core_undo", server_core::undo),
    ("session", session::session),
    ("slip132_descriptor", slip132::descriptor),
    ("slip132_key", slip132::key),
    ("wallet_chain", snapshot::chain),
    ("wallet_headers", wallet::headers),
    ("wallet_scripts", wallet::scripts),
    ("wallet_snapshot", snapshot::scripts),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::TARGETS;

    fn names_in(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn each_body_has_its_target() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names_in(&here.join("fuzz_targets")), names);
        let crashes = names_in(&here.join("crashes"));
        assert!(crashes.is_subset(&names), "{crashes:?}");
    }

    /// What once went wrong: files that a fuzzing run left behind, in the folder of their target.
    #[test]
    fn crashes_stay_fixed() {
        let crashes = Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes");
        for (name, body) in TARGETS {
            let Ok(files) = fs::read_dir(crashes.join(name)) else {
                continue;
            };
            for file in files {
                body(&fs::read(file.unwrap().path()).unwrap());
            }
        }
    }
}
