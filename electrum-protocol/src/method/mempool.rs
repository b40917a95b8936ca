//! `mempool.*`: what waits for confirmation.

use bitcoin::{Amount, FeeRate, Txid};
use serde_json::value::RawValue;

use super::fee::FeePerKvb;
use crate::json::{DecodeError, FromJson, Object, ToJson, bind, number, required, unexpected};
use crate::version::ProtocolVersion;

/// `mempool.get_fee_histogram`: how much of the mempool pays how well. From protocol 1.2 on.
///
/// Params: none. Result: a list of [`FeeBin`]s, their rates strictly decreasing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetFeeHistogram;

/// One bar of the fee histogram: `[rate, vsize]`.
///
/// The transactions that pay at least this rate, and less than that of the bar before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeBin {
    /// The lowest rate in the bar; satoshis per virtual byte on the wire, with up to three decimals.
    pub rate: FeeRate,
    /// The size of its transactions together, in virtual bytes.
    pub vsize: u64,
}

/// Satoshis per 1000 weight units in one satoshi per virtual byte.
const KWU_PER_VB: u64 = 250;

impl ToJson for FeeBin {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        let rate = self.rate.to_sat_per_kwu();
        let (whole, rest) = (rate / KWU_PER_VB, rate % KWU_PER_VB);
        out.push(b'[');
        number(whole, out);
        if rest != 0 {
            // A 250th is exactly four thousandths.
            let decimals = format!(".{:03}", rest * 4);
            out.extend_from_slice(decimals.trim_end_matches('0').as_bytes());
        }
        out.push(b',');
        number(self.vsize, out);
        out.push(b']');
    }
}

impl FromJson for FeeBin {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [rate, vsize] = bind(raw, ["rate", "vsize"], true)?;
        let rate = rate.ok_or_else(|| DecodeError::missing("rate"))?;
        let sat_per_vb: f64 = serde_json::from_str(rate.get())
            .ok()
            .filter(|number| *number >= 0.0)
            .ok_or_else(|| {
                unexpected("a fee rate in satoshis per virtual byte", rate).within("rate")
            })?;
        Ok(Self {
            // Casting saturates: a server may use 2^64 - 1 as "everything above".
            rate: FeeRate::from_sat_per_kwu((sat_per_vb * KWU_PER_VB as f64).round() as u64),
            vsize: required(vsize, "vsize")?,
        })
    }
}

/// `mempool.get_info`: which rates the node accepts now. From protocol 1.6 on.
///
/// Params: none. Result: [`MempoolFees`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetInfo;

/// The result of `mempool.get_info`, in bitcoin per 1000 virtual bytes on the wire.
///
/// ```json
/// {"mempoolminfee": 0.00001, "minrelaytxfee": 0.00001, "incrementalrelayfee": 0.00001}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolFees {
    /// The lowest rate that enters the mempool; higher than the next while it is full. `mempoolminfee`.
    pub mempool_min_fee: FeePerKvb,
    /// The lowest rate that is relayed at all. `minrelaytxfee`.
    pub min_relay_tx_fee: FeePerKvb,
    /// By how much a replacement must pay more. `incrementalrelayfee`.
    pub incremental_relay_fee: FeePerKvb,
}

impl ToJson for MempoolFees {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out)
            .field("mempoolminfee", &self.mempool_min_fee, version)
            .field("minrelaytxfee", &self.min_relay_tx_fee, version)
            .field("incrementalrelayfee", &self.incremental_relay_fee, version)
            .end();
    }
}

impl FromJson for MempoolFees {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = ["mempoolminfee", "minrelaytxfee", "incrementalrelayfee"];
        let [mempool, relay, incremental] = bind(raw, names, false)?;
        Ok(Self {
            mempool_min_fee: required(mempool, "mempoolminfee")?,
            min_relay_tx_fee: required(relay, "minrelaytxfee")?,
            incremental_relay_fee: required(incremental, "incrementalrelayfee")?,
        })
    }
}

/// `mempool.recent`: the transactions that came last. From protocol 1.7 on.
///
/// Params: none. Result: a list of [`RecentTransaction`]s, at most ten, the newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent;

/// A transaction of the mempool.
///
/// ```json
/// {"txid": "3d2290c93436a3e9…", "fee": 24310, "vsize": 141}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentTransaction {
    /// The transaction hash.
    pub txid: Txid,
    /// What it pays, in satoshis on the wire.
    pub fee: Amount,
    /// Its size in virtual bytes.
    pub vsize: u64,
}

impl ToJson for RecentTransaction {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out)
            .field("txid", &self.txid, version)
            .field("fee", &self.fee, version)
            .field("vsize", &self.vsize, version)
            .end();
    }
}

impl FromJson for RecentTransaction {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [txid, fee, vsize] = bind(raw, ["txid", "fee", "vsize"], false)?;
        Ok(Self {
            txid: required(txid, "txid")?,
            fee: required(fee, "fee")?,
            vsize: required(vsize, "vsize")?,
        })
    }
}
