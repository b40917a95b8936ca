//! The node's REST interface: blocks, what they spend, and headers as bytes, without credentials.

use std::ops::Range;
use std::time::Duration;

use bitcoin::BlockHash;
use bitcoin::block::Header;

use super::http::{Answer, Http, MAX_BODY};
use super::parse::{self, ParseError};
use super::rpc::malformed;
use crate::chain::{BlockWithSpent, RawBlock, RawSpent, SourceError};

/// The most headers that Bitcoin Core sends at once.
const MAX_HEADERS: u32 = 2000;

/// A REST client of one node.
#[derive(Debug)]
pub(super) struct Rest {
    http: Http,
}

impl Rest {
    pub(super) fn new(address: &str, timeout: Duration) -> Self {
        Self {
            http: Http::new(address, timeout),
        }
    }

    /// Returns how many questions wait for an answer.
    pub(super) fn pending(&self) -> usize {
        self.http.pending()
    }

    /// Tells whether the node offers everything that is used here: REST is on, and it knows the outputs that blocks
    /// spend (Bitcoin Core 30 and later).
    ///
    /// `tip` is a block that a node has that has pruned others.
    pub(super) fn probe(&self, tip: &BlockHash) -> Result<Offer, SourceError> {
        if self.get("/rest/chaininfo.json")?.is_none() {
            return Ok(Offer::Nothing);
        }
        Ok(match self.get(&spent_path(tip))? {
            Some(_) => Offer::Everything,
            None => Offer::BlocksOnly,
        })
    }

    /// Returns a block and the outputs that it spends; `None` when the node does not have both, or REST is off.
    pub(super) fn block(&self, hash: &BlockHash) -> Result<Option<BlockWithSpent>, SourceError> {
        let path = format!("/rest/block/{hash}.bin");
        let Some(block) = self.get(&path)? else {
            return Ok(None);
        };
        let Some(spent) = self.get(&spent_path(hash))? else {
            return Ok(None);
        };
        let read = || -> Result<_, ParseError> {
            let block = parse::parse_block(hash, &block)?;
            let spent = parse::parse_spent_outputs(&spent)?;
            parse::check_spent(&block, &spent)?;
            Ok(BlockWithSpent { block, spent })
        };
        read().map(Some).map_err(|error| malformed(&path, error))
    }

    /// The same as [`block`](Self::block), as bytes that nobody has looked at.
    pub(super) fn raw_block(&self, hash: &BlockHash) -> Result<Option<RawBlock>, SourceError> {
        let Some(block) = self.get(&format!("/rest/block/{hash}.bin"))? else {
            return Ok(None);
        };
        let spent = self.get(&spent_path(hash))?;
        Ok(spent.map(|spent| RawBlock {
            block,
            spent: RawSpent::Rest(spent),
        }))
    }

    /// Returns a block; `None` when the node does not have it, or REST is off.
    pub(super) fn block_bytes(&self, hash: &BlockHash) -> Result<Option<Vec<u8>>, SourceError> {
        self.get(&format!("/rest/block/{hash}.bin"))
    }

    /// Returns bytes of a block; `None` when the node does not have it, or does not know this question (it does from
    /// Bitcoin Core 31 on).
    pub(super) fn block_part(
        &self,
        hash: &BlockHash,
        range: Range<u32>,
    ) -> Result<Option<Vec<u8>>, SourceError> {
        let (offset, size) = (range.start, range.len());
        let part = self.get(&format!(
            "/rest/blockpart/{hash}.bin?offset={offset}&size={size}"
        ))?;
        Ok(part.filter(|part| part.len() == size))
    }

    /// Returns headers of the active chain; `None` when REST is off or the chain is shorter.
    pub(super) fn headers(
        &self,
        start_height: u32,
        count: u32,
    ) -> Result<Option<Vec<Header>>, SourceError> {
        let path = format!("/rest/blockhashbyheight/{start_height}.bin");
        let Some(hash) = self.get(&path)? else {
            return Ok(None);
        };
        let hash = parse::parse_block_hash(&hash).map_err(|error| malformed(&path, error))?;
        let count = count.clamp(1, MAX_HEADERS);
        let path = format!("/rest/headers/{hash}.bin?count={count}");
        let Some(headers) = self.get(&path)? else {
            return Ok(None);
        };
        let headers = parse::parse_headers(&headers).map_err(|error| malformed(&path, error))?;
        check_headers(&hash, count, &headers).map_err(|why| malformed(&path, why))?;
        Ok(Some(headers))
    }

    /// Fetches bytes; `None` when there are none at this path.
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let Answer {
            status,
            body,
            is_whole,
        } = self.http.get(path)?;
        if !is_whole {
            return Err(malformed(path, format_args!("more than {MAX_BODY} bytes")));
        }
        match status {
            200 => Ok(Some(body)),
            // Old versions answer a path that they do not know with 400 or 404, all versions what is missing with 404.
            400 | 404 => Ok(None),
            500..=599 => Err(SourceError::transient(format_args!(
                "the node answers {path} with status {status}: {}",
                String::from_utf8_lossy(&body).trim()
            ))),
            _ => Err(malformed(path, format_args!("HTTP status {status}"))),
        }
    }
}

/// What the node's REST interface has for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Blocks and the outputs that they spend.
    Everything,
    /// Blocks, but not the outputs that they spend: an older version.
    BlocksOnly,
    /// It is off.
    Nothing,
}

fn spent_path(hash: &BlockHash) -> String {
    format!("/rest/spenttxouts/{hash}.bin")
}

/// Checks that headers begin with the one that was asked for, and are not more; otherwise tells why they are wrong.
fn check_headers(first: &BlockHash, count: u32, headers: &[Header]) -> Result<(), String> {
    if headers.len() > count as usize {
        return Err(format!("{} headers, not {count}", headers.len()));
    }
    match headers.first().map(Header::block_hash) {
        Some(found) if found != *first => Err(format!("the first is {found}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::{Network, constants::genesis_block};

    use super::*;

    #[test]
    fn headers_are_those_that_were_asked_for() {
        let header = genesis_block(Network::Regtest).header;
        let (hash, other) = (header.block_hash(), header.prev_blockhash);
        for good in [&[][..], &[header], &[header, header]] {
            assert_eq!(check_headers(&hash, 2, good), Ok(()));
        }
        assert!(check_headers(&hash, 2, &[header; 3]).is_err());
        assert!(check_headers(&other, 2, &[header]).is_err());
    }
}
