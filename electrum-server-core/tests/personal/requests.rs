//! Every request of the protocol, about everything that there is.

use bitcoin::consensus::serialize;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, Txid};
use electrum_protocol::method::header::Block;
use electrum_protocol::method::scripthash::HeightRange;
use electrum_protocol::method::{
    address, block, fee, header, headers, mempool, numblocks, outpoint, scripthash, scriptpubkey,
    server, transaction, utxo,
};
use electrum_protocol::{EstimateMode, Method, ProtocolVersion, Request, ScriptHash};

use crate::common::Script;

/// What may be asked about.
#[derive(Default)]
pub(crate) struct Facts {
    pub(crate) scripts: Vec<Script>,
    /// With the height of the block, once it is in one.
    pub(crate) transactions: Vec<(Transaction, Option<u32>)>,
    /// Blocks, with the number of transactions.
    pub(crate) blocks: Vec<(u32, BlockHash, u32)>,
}

impl Facts {
    pub(crate) fn txids(&self) -> impl Iterator<Item = (Txid, Option<u32>)> {
        let transactions = self.transactions.iter();
        transactions.map(|(tx, height)| (tx.compute_txid(), *height))
    }

    /// The outputs of the transactions, with their scripts, and one more of each that does not exist.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (OutPoint, Option<ScriptBuf>)> {
        self.transactions.iter().flat_map(|(tx, _)| {
            let txid = tx.compute_txid();
            let scripts = tx
                .output
                .iter()
                .map(|output| Some(output.script_pubkey.clone()));
            let outputs = (0..).zip(scripts.chain([None]));
            outputs.map(move |(vout, script)| (OutPoint::new(txid, vout), script))
        })
    }

    /// Requests of one kind.
    fn of(&self, method: Method) -> Vec<Request> {
        let scripts = || self.scripts.iter().map(Script::output_script);
        let hashes = || scripts().map(|script| ScriptHash::from_script(&script));
        let addresses = || {
            let addresses = self
                .scripts
                .iter()
                .map(|script| script.address().to_string());
            addresses.chain(["nonsense".to_owned()])
        };
        let parts = [
            HeightRange::ALL,
            HeightRange {
                from: 100,
                to: Some(130),
            },
            HeightRange {
                from: 125,
                to: None,
            },
        ];
        let tip = self.blocks.iter().map(|(height, ..)| *height).max();
        let heights = || {
            self.blocks
                .iter()
                .map(|(height, ..)| *height)
                .chain([0, 1_000_000])
        };
        macro_rules! all {
            ($requests:expr) => {
                $requests.map(Request::from).collect()
            };
        }
        // The node refuses these, and nothing changes.
        let broken = vec![1, 2, 3];
        let known = || {
            let confirmed = self
                .transactions
                .iter()
                .filter(|(_, height)| height.is_some());
            confirmed.map(|(tx, _)| serialize(tx)).take(2)
        };
        match method {
            Method::ServerFeatures => vec![server::Features.into()],
            // Without other servers nobody is proposed.
            Method::ServerAddPeer => Vec::new(),
            Method::ServerPeersSubscribe => vec![server::PeersSubscribe.into()],
            Method::ServerBanner => vec![server::Banner.into()],
            Method::ServerDonationAddress => vec![server::DonationAddress.into()],
            Method::ServerPing => vec![server::Ping::default().into()],
            Method::NumblocksSubscribe => vec![numblocks::Subscribe.into()],
            Method::HeadersSubscribe => all!([headers::Subscribe { raw: true }].into_iter()),
            Method::HeadersGetTip => vec![headers::GetTip.into()],
            Method::HeadersUnsubscribe => vec![headers::Unsubscribe.into()],
            Method::HeaderGet => {
                let blocks = self.blocks.iter().map(|(_, hash, _)| Block::Hash(*hash));
                let blocks = blocks.chain(heights().map(Block::Height));
                all!(blocks.map(|block| header::Get { block }))
            }
            Method::BlockGetHeader => all!(heights().map(|height| block::GetHeader { height })),
            Method::BlockGetChunk => {
                all!([0, 1].map(|index| block::GetChunk { index }).into_iter())
            }
            Method::BlockHeader => {
                let proven = [0, tip.unwrap_or_default()];
                let each = heights().flat_map(|height| proven.map(|cp_height| (height, cp_height)));
                all!(each.map(|(height, cp_height)| block::Header { height, cp_height }))
            }
            Method::BlockHeaders => all!(heights().map(|start_height| block::Headers {
                start_height,
                count: 3,
                cp_height: tip.unwrap_or_default(),
            })),
            Method::EstimateFee => all!(
                [None, Some(EstimateMode::Economical)]
                    .map(|mode| fee::EstimateFee { number: 2, mode })
                    .into_iter()
            ),
            Method::RelayFee => vec![fee::RelayFee.into()],
            Method::AddressGetBalance => {
                all!(addresses().map(|address| address::GetBalance { address }))
            }
            Method::AddressGetHistory => {
                all!(addresses().map(|address| address::GetHistory { address }))
            }
            Method::AddressGetMempool => {
                all!(addresses().map(|address| address::GetMempool { address }))
            }
            Method::AddressListUnspent => {
                all!(addresses().map(|address| address::ListUnspent { address }))
            }
            Method::AddressSubscribe => {
                all!(addresses().map(|address| address::Subscribe { address }))
            }
            Method::ScripthashGetBalance => {
                all!(hashes().map(|script_hash| scripthash::GetBalance { script_hash }))
            }
            Method::ScripthashGetHistory => {
                let each = hashes().flat_map(|hash| parts.map(|part| (hash, part)));
                all!(each.map(|(script_hash, heights)| scripthash::GetHistory {
                    script_hash,
                    heights
                }))
            }
            Method::ScripthashGetMempool => {
                all!(hashes().map(|script_hash| scripthash::GetMempool { script_hash }))
            }
            Method::ScripthashListUnspent => {
                all!(hashes().map(|script_hash| scripthash::ListUnspent { script_hash }))
            }
            Method::ScripthashSubscribe => {
                all!(hashes().map(|script_hash| scripthash::Subscribe { script_hash }))
            }
            Method::ScripthashUnsubscribe => {
                all!(hashes().map(|script_hash| scripthash::Unsubscribe { script_hash }))
            }
            Method::ScripthashGetStatus => {
                all!(hashes().map(|script_hash| scripthash::GetStatus { script_hash }))
            }
            Method::ScripthashGetFirstUse => {
                all!(hashes().map(|script_hash| scripthash::GetFirstUse { script_hash }))
            }
            Method::ScriptpubkeyGetBalance => {
                all!(scripts().map(|script| scriptpubkey::GetBalance { script }))
            }
            Method::ScriptpubkeyGetHistory => {
                let each = scripts().flat_map(|script| parts.map(|part| (script.clone(), part)));
                all!(each.map(|(script, heights)| scriptpubkey::GetHistory { script, heights }))
            }
            Method::ScriptpubkeyGetMempool => {
                all!(scripts().map(|script| scriptpubkey::GetMempool { script }))
            }
            Method::ScriptpubkeyListUnspent => {
                all!(scripts().map(|script| scriptpubkey::ListUnspent { script }))
            }
            Method::ScriptpubkeySubscribe => {
                all!(scripts().map(|script| scriptpubkey::Subscribe { script }))
            }
            Method::ScriptpubkeyUnsubscribe => {
                all!(scripts().map(|script| scriptpubkey::Unsubscribe { script }))
            }
            Method::OutpointSubscribe => {
                let each = self.hinted_outputs();
                all!(each.map(|(outpoint, script_hint)| outpoint::Subscribe {
                    outpoint,
                    script_hint
                }))
            }
            Method::OutpointGetStatus => {
                let each = self.hinted_outputs();
                all!(each.map(|(outpoint, script_hint)| outpoint::GetStatus {
                    outpoint,
                    script_hint
                }))
            }
            Method::OutpointUnsubscribe => {
                all!(
                    self.outputs()
                        .map(|(outpoint, _)| outpoint::Unsubscribe { outpoint })
                )
            }
            Method::UtxoGetAddress => all!(
                self.outputs()
                    .map(|(OutPoint { txid, vout }, _)| utxo::GetAddress { txid, vout })
            ),
            Method::UtxoGetInfo => all!(
                self.outputs()
                    .map(|(OutPoint { txid, vout }, _)| utxo::GetInfo { txid, vout })
            ),
            Method::TransactionBroadcast => {
                all!(
                    known()
                        .chain([broken])
                        .map(|raw_tx| transaction::Broadcast { raw_tx })
                )
            }
            Method::TransactionBroadcastPackage => all!([true, false].into_iter().map(|verbose| {
                let raw_txs = known().collect();
                transaction::BroadcastPackage { raw_txs, verbose }
            })),
            Method::TransactionTestMempoolAccept => {
                let raw_txs = known().collect();
                vec![transaction::TestMempoolAccept { raw_txs }.into()]
            }
            Method::TransactionGet => {
                let each = self
                    .txids()
                    .flat_map(|(txid, _)| [(txid, true), (txid, false)]);
                all!(each.map(|(txid, verbose)| transaction::Get { txid, verbose }))
            }
            Method::TransactionGetMerkle => {
                let each = self.txids().flat_map(|(txid, height)| {
                    let heights = [None, Some(height.unwrap_or(1)), Some(2), Some(1_000_000)];
                    heights.map(|height| transaction::GetMerkle { txid, height })
                });
                all!(each)
            }
            Method::TransactionIdFromPos => {
                let blocks = self.blocks.iter();
                let places = blocks.flat_map(|(height, _, count)| {
                    (0..=*count).map(move |tx_pos| (*height, tx_pos))
                });
                let each = places.flat_map(|(height, tx_pos)| {
                    [true, false].map(|merkle| transaction::IdFromPos {
                        height,
                        tx_pos,
                        merkle,
                    })
                });
                all!(each)
            }
            Method::TransactionGetHeight => {
                all!(
                    self.txids()
                        .map(|(txid, _)| transaction::GetHeight { txid })
                )
            }
            Method::TransactionGetConfirmedBlockhash => {
                let each = self.txids().flat_map(|(txid, _)| {
                    [true, false].map(|include_header| transaction::GetConfirmedBlockhash {
                        txid,
                        include_header,
                    })
                });
                all!(each)
            }
            Method::TransactionSubscribe => {
                all!(
                    self.txids()
                        .map(|(txid, _)| transaction::Subscribe { txid })
                )
            }
            Method::TransactionUnsubscribe => {
                all!(
                    self.txids()
                        .map(|(txid, _)| transaction::Unsubscribe { txid })
                )
            }
            Method::MempoolGetFeeHistogram => vec![mempool::GetFeeHistogram.into()],
            Method::MempoolGetInfo => vec![mempool::GetInfo.into()],
            Method::MempoolRecent => vec![mempool::Recent.into()],
            // The enum may grow in a later release of the protocol's crate.
            other => panic!("{other} is asked by no test: say here what it can be asked about"),
        }
    }

    /// Outputs with no hint at their scripts, with the right one, and with one of another.
    fn hinted_outputs(&self) -> impl Iterator<Item = (OutPoint, Option<ScriptBuf>)> {
        let others = self.scripts.iter().cycle().map(Script::output_script);
        self.outputs()
            .zip(others)
            .flat_map(|((outpoint, script), other)| {
                [None, script, Some(other)].map(|hint| (outpoint, hint))
            })
    }

    /// Every request that a client of a version can make, each as a line. What ends subscriptions comes last.
    pub(crate) fn lines(&self, version: ProtocolVersion) -> Vec<String> {
        let mut methods: Vec<Method> = Method::ALL.to_vec();
        methods.sort_by_key(|method| method.name().ends_with("unsubscribe"));
        let methods = methods.into_iter();
        let methods = methods.filter(|method| method.exists_in(version));
        let requests = methods.flat_map(|method| {
            let requests = self.of(method);
            assert!(requests.iter().all(|request| request.method() == method));
            requests
        });
        let lines = requests.map(|request| line(&request, version));
        lines.collect()
    }
}

pub(crate) fn line(request: &Request, version: ProtocolVersion) -> String {
    let mut params = Vec::new();
    request.encode(version, &mut params);
    let params = String::from_utf8(params).unwrap();
    let method = request.method();
    format!("{{\"id\":1,\"method\":\"{method}\",\"params\":{params}}}\n")
}
