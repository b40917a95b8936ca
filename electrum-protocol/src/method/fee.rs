//! `blockchain.estimatefee` and `blockchain.relayfee`: what a transaction should cost.

use core::fmt;

use bitcoin::Amount;
use serde_json::value::RawValue;

use super::Parameters;
use crate::json::{
    DecodeError, FromJson, ToJson, decimal, number, optional, required, string, text, unexpected,
};
use crate::jsonrpc::Params;
use crate::version::ProtocolVersion;

/// `blockchain.estimatefee`: the rate at which a transaction confirms within a number of blocks.
///
/// Params: `[number]`, from protocol 1.6 on `[number, mode = null]`. Result: [`FeePerKvb`], or -1 when there is no
/// estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EstimateFee {
    /// Within how many blocks.
    pub number: u32,
    /// How careful the estimate is; the node's default when absent. Before protocol 1.6 always absent.
    pub mode: Option<EstimateMode>,
}

/// The two ways in which Bitcoin Core estimates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EstimateMode {
    /// Looks far back, and reacts late to falling rates.
    Conservative,
    /// Looks at the recent past only.
    Economical,
}

impl EstimateMode {
    /// Returns the word that Bitcoin Core and the wire have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conservative => "CONSERVATIVE",
            Self::Economical => "ECONOMICAL",
        }
    }
}

impl FromJson for EstimateMode {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let mode = text(raw).unwrap_or_default();
        [Self::Conservative, Self::Economical]
            .into_iter()
            .find(|known| mode.eq_ignore_ascii_case(known.as_str()))
            .ok_or_else(|| unexpected("\"CONSERVATIVE\" or \"ECONOMICAL\"", raw))
    }
}

impl Parameters for EstimateFee {
    fn decode(params: Params<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let [number, mode] = params.bind(["number", "mode"])?;
        let mode = mode.filter(|_| version >= ProtocolVersion::V1_6);
        Ok(Self {
            number: required(number, "number")?,
            mode: optional(mode, "mode")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        number(self.number, out);
        if let Some(mode) = self.mode.filter(|_| version >= ProtocolVersion::V1_6) {
            out.push(b',');
            string(mode.as_str(), out);
        }
        out.push(b']');
    }
}

/// `blockchain.relayfee`: the lowest rate at which the node relays. Gone in protocol 1.6.
///
/// Params: none. Result: [`FeePerKvb`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayFee;

/// A fee rate: so much per 1000 virtual bytes.
///
/// On the wire a JSON number of whole bitcoin, printed exactly: 1000 satoshis are `0.00001`. When read, it is rounded
/// to the nearest satoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeePerKvb(pub Amount);

impl FeePerKvb {
    /// Reads a rate of whole bitcoin, such as `1.01e-05`; nothing that is negative or more than 21 million bitcoin.
    pub fn from_btc(btc: f64) -> Option<Self> {
        // Below 2^53 satoshis the rounding is exact for every decimal of up to 8 places.
        let satoshis = (btc * 1e8).round();
        (0.0..=Amount::MAX_MONEY.to_sat() as f64)
            .contains(&satoshis)
            .then_some(Self(Amount::from_sat(satoshis as u64)))
    }
}

/// Prints whole bitcoin, exactly and without an exponent.
impl fmt::Display for FeePerKvb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let satoshis = self.0.to_sat();
        let (whole, mut fraction) = (satoshis / 100_000_000, satoshis % 100_000_000);
        if fraction == 0 {
            return write!(f, "{whole}.0");
        }
        let mut width = 8;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            width -= 1;
        }
        write!(f, "{whole}.{fraction:0width$}")
    }
}

impl ToJson for FeePerKvb {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        decimal(self, out);
    }
}

impl FromJson for FeePerKvb {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        serde_json::from_str(raw.get())
            .ok()
            .and_then(Self::from_btc)
            .ok_or_else(|| unexpected("a fee rate in bitcoin per 1000 virtual bytes", raw))
    }
}

/// The result of `blockchain.estimatefee`: a rate, or `-1` on the wire when there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeEstimate(pub Option<FeePerKvb>);

impl ToJson for FeeEstimate {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self.0 {
            Some(rate) => rate.to_json(version, out),
            None => out.extend_from_slice(b"-1"),
        }
    }
}

impl FromJson for FeeEstimate {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        // Written -1 or -1.0, depending on the server.
        if serde_json::from_str::<f64>(raw.get()).is_ok_and(|number| number == -1.0) {
            return Ok(Self(None));
        }
        FeePerKvb::from_json(raw).map(|rate| Self(Some(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_print_exactly() {
        let check = |satoshis: u64, text: &str| {
            let rate = FeePerKvb(Amount::from_sat(satoshis));
            assert_eq!(rate.to_string(), text);
            assert_eq!(FeePerKvb::from_btc(text.parse().unwrap()), Some(rate));
        };
        check(0, "0.0");
        check(1, "0.00000001");
        check(1000, "0.00001");
        check(101_079, "0.00101079");
        check(10_000_000, "0.1");
        check(100_000_000, "1.0");
        check(2_100_000_000_000_000, "21000000.0");
        check(2_099_999_999_999_999, "20999999.99999999");
    }

    #[test]
    fn rates_are_read_in_every_notation() {
        let check = |text: &str, satoshis: Option<u64>| {
            let raw = serde_json::from_str(text).unwrap();
            let rate = FeePerKvb::from_json(raw).ok();
            assert_eq!(
                rate,
                satoshis.map(Amount::from_sat).map(FeePerKvb),
                "{text}"
            );
        };
        check("1e-05", Some(1000));
        check("1E-5", Some(1000));
        check("0.00001000", Some(1000));
        check("0", Some(0));
        check("1", Some(100_000_000));
        check("0.000010004", Some(1000));
        check("0.1e-4", Some(1000));
        check("-1e-5", None);
        check("21000001", None);
        check("1e400", None);
        check("\"0.1\"", None);
        check("null", None);
    }

    #[test]
    fn no_estimate_is_minus_one() {
        for text in ["-1", "-1.0", "-1e0"] {
            let raw = serde_json::from_str(text).unwrap();
            assert_eq!(FeeEstimate::from_json(raw), Ok(FeeEstimate(None)));
        }
        let mut out = Vec::new();
        FeeEstimate(None).to_json(ProtocolVersion::V1_6, &mut out);
        assert_eq!(out, b"-1");
    }
}
