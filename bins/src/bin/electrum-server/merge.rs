//! How options from several sources become one set.

use crate::cli::Options;

impl Options {
    /// Fills what is absent here with what `lower` says.
    pub(crate) fn or(mut self, lower: Self) -> Self {
        macro_rules! fill {
            (options: $($option:ident)*; lists: $($list:ident)*) => {{
                // Every field is named, so that none is forgotten.
                let Self { verbose, $($option,)* $($list,)* } = lower;
                self.verbose = self.verbose.max(verbose);
                $(self.$option = self.$option.or($option);)*
                $(if self.$list.is_empty() {
                    self.$list = $list;
                })*
            }};
        }
        fill! {
            options: network
                db_dir
                db_mem_mib
                daemon_dir
                blocks_dir
                jsonrpc_import
                daemon_rpc_addr
                cookie_file
                eps_config
                bwt_env
                wallet_birth
                gap_limit
                unwatched
                fetch_pruned_blocks
                broadcast_command
                auth
                cookie
                tls_cert
                tls_key
                tls_client_ca
                disable_electrum_rpc
                sync_once
                ignore_mempool
                index_lookup_limit
                max_response_bytes
                max_connections
                max_clients_per_subnet
                max_subs_per_subnet
                max_subs
                max_batch
                max_recv
                max_buffers_mib
                cost_soft_limit
                cost_hard_limit
                exempt_loopback
                session_timeout
                handshake_timeout
                wait_duration_secs
                jsonrpc_timeout_secs
                server_banner
                banner_file
                donation_address
                server_name
                pad_responses
                peering
                announce
                tor_proxy
                log_filters
                log_timestamps
                monitoring_addr
                dev
                dev_state
                dev_rpc_addr
                block_time
                conf
                conf_dir
                skip_default_conf_files
                timestamp
                auto_reindex
                skip_block_download_wait
                daemon_p2p_addr
                http_addr
                db_log_dir
                db_parallelism
                index_batch_size
                reindex_last_blocks
                signet_magic;
            lists: wallet
                electrum_rpc_addr
                electrum_tls_addr
                ws_addr
                wss_addr
                ws_origin
                unix_socket
                proxy_protocol_from
                exempt_subnets
                report_services
                peer
        }
        self
    }

    /// Names of the options that were given although they change nothing here.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        let given = [
            ("timestamp", self.timestamp.is_some()),
            ("auto-reindex", self.auto_reindex.is_some()),
            (
                "skip-block-download-wait",
                self.skip_block_download_wait.is_some(),
            ),
            ("daemon-p2p-addr", self.daemon_p2p_addr.is_some()),
            ("http-addr", self.http_addr.is_some()),
            ("db-log-dir", self.db_log_dir.is_some()),
            ("db-parallelism", self.db_parallelism.is_some()),
            ("index-batch-size", self.index_batch_size.is_some()),
            ("reindex-last-blocks", self.reindex_last_blocks.is_some()),
            ("signet-magic", self.signet_magic.is_some()),
        ];
        given
            .iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| *name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clap::Parser;

    use super::*;

    #[test]
    fn what_is_absent_is_filled_from_below() {
        let parse = |line: &str| Options::try_parse_from(line.split(' ')).unwrap();
        let upper = parse("x --db-dir upper --electrum-rpc-addr a:1 --electrum-rpc-addr b:2");
        let lower = parse("x --db-dir lower --server-banner lower --electrum-rpc-addr c:3");
        let merged = upper.or(lower);
        assert_eq!(merged.db_dir, Some(PathBuf::from("upper")));
        assert_eq!(merged.server_banner.as_deref(), Some("lower"));
        assert_eq!(merged.electrum_rpc_addr, ["a:1", "b:2"]);
    }
}
