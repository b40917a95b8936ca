//! What a configuration file in the working directory may set.
//!
//! The working directory may be any folder: one of downloads, or one that others can write to. A file there must not run
//! commands, send credentials elsewhere, let strangers in, or hide a wallet. So each option is named here, and one that is
//! added does not compile until somebody has said which kind it is.

use crate::cli::Options;

/// Returns the options that are set and may not be set by a file in the working directory.
pub(crate) fn refused_here(options: &Options) -> Vec<&'static str> {
    macro_rules! classify {
        (refused: $($refused:ident)*; refused lists: $($list:ident)*; harmless: $($harmless:ident)*) => {{
            // Every field is named, so that none is forgotten.
            let Options { $($harmless: _,)* $($refused,)* $($list,)* } = options;
            let mut found = Vec::new();
            $(if $refused.is_some() {
                found.push(stringify!($refused));
            })*
            $(if !$list.is_empty() {
                found.push(stringify!($list));
            })*
            found
        }};
    }
    classify! {
        // They run commands, name files and folders, say where credentials and traffic go or who may come in, or what of
        // a wallet is shown.
        refused: broadcast_command
            db_dir
            daemon_dir
            blocks_dir
            daemon_rpc_addr
            cookie_file
            auth
            cookie
            eps_config
            bwt_env
            wallet_birth
            gap_limit
            unwatched
            fetch_pruned_blocks
            tls_cert
            tls_key
            tls_client_ca
            banner_file
            exempt_loopback
            peering
            announce
            tor_proxy
            monitoring_addr
            dev_state
            dev_rpc_addr
            conf
            conf_dir;
        refused lists: wallet
            electrum_rpc_addr
            electrum_tls_addr
            ws_addr
            wss_addr
            ws_origin
            unix_socket
            proxy_protocol_from
            exempt_subnets
            report_services
            peer;
        harmless: verbose
            network
            db_mem_mib
            jsonrpc_import
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
            session_timeout
            handshake_timeout
            wait_duration_secs
            jsonrpc_timeout_secs
            server_banner
            donation_address
            server_name
            pad_responses
            log_filters
            log_timestamps
            dev
            block_time
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
            signet_magic
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn what_reaches_further_is_refused_and_the_rest_is_not() {
        let parse = |line: &str| Options::try_parse_from(line.split_whitespace()).unwrap();
        let refused = parse(
            "x --broadcast-command c --db-dir d --daemon-dir d --blocks-dir d --daemon-rpc-addr a:1 --cookie-file c \
             --eps-config e --wallet 51 --wallet-birth 1 --tls-cert c --tls-key k --banner-file b \
             --electrum-rpc-addr a:1 --electrum-tls-addr a:2 --ws-addr a:3 --wss-addr a:4 --ws-origin * --unix-socket s \
             --proxy-protocol-from unix --exempt-subnets 10.0.0.0/8 --exempt-loopback --peering --tor-proxy t \
             --monitoring-addr a:5 --report-services tcp://a:1 --peer tcp://b:1 --tls-client-ca f",
        );
        assert_eq!(refused_here(&refused).len(), 27);
        let harmless = parse(
            "x -v --network regtest --log-filters debug --server-banner b --donation-address d --max-connections 5 \
             --db-mem-mib 100 --sync-once --pad-responses --dev",
        );
        assert_eq!(refused_here(&harmless), [""; 0]);
    }
}
