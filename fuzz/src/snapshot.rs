//! What wallets have saved, read by their next start: whole, damaged, or written by somebody else.

use electrum_protocol::CheckpointProof;
use electrum_protocol::bitcoin::Network;
use electrum_protocol::bitcoin::block::Header;
use electrum_protocol::bitcoin::hashes::sha256d;
use electrum_protocol::header_chain::{Checkpoint, context_start};
use electrum_protocol::method::block::{HeaderResponse, HeadersResponse};
use electrum_protocol::script_sync::{
    Config, Limits, SavedEntry, SavedHeader, SavedHistory, SavedProof, SavedTransaction, Snapshot,
};
use electrum_protocol::{HeaderChain, ProtocolVersion, ScriptHash, ScriptSync};

use crate::wallet::{Choices, chains, script, transactions};

const LIMITS: Limits = Limits {
    scripts: 20,
    entries: 30,
    transaction_bytes: 300,
};

/// A wallet's scripts as JSON: what is taken is bounded and is saved as the same again; what it still wants ends.
pub fn scripts(data: &[u8]) {
    let mut choices = Choices(data);
    let text = match choices.next() {
        1 => choices.0.to_vec(),
        _ => damaged(&mut choices),
    };
    let Ok(snapshot) = serde_json::from_slice::<Snapshot<u8>>(&text) else {
        return;
    };
    let mut chain = HeaderChain::genesis(Network::Regtest);
    let [ours, _] = chains();
    let known = ours.get(1..).unwrap_or_default();
    chain.extend(known, None).expect("the chain is valid");
    let mut sync = empty();
    let outcome = sync.restore(snapshot, &chain);
    assert!(sync.scripts().count() <= LIMITS.scripts);
    let entries: usize = sync.scripts().map(|view| view.history.len()).sum();
    assert!(entries <= LIMITS.entries);
    assert!(sync.save().headers.len() <= LIMITS.entries);
    let _ = (sync.balance(), sync.unspent());
    if outcome.is_ok() {
        let saved = sync.save();
        let mut again = empty();
        again
            .restore(saved.clone(), &chain)
            .expect("what was saved can be restored");
        assert_eq!(again.save(), saved);
    }
    let mut asked = 0;
    while let Some(request) = sync.poll_request() {
        sync.refused(&request, &chain);
        asked += 1;
        assert!(asked < 1_000, "requests without end");
    }
}

/// What was saved, in which some bytes are others.
fn damaged(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut text = serde_json::to_vec(&saved()).expect("it is JSON");
    while !choices.0.is_empty() {
        let place = u16::from_le_bytes([choices.next(), choices.next()]);
        let start = usize::from(place) % (text.len() + 1);
        let end = (start + usize::from(choices.next() % 80)).min(text.len());
        let added: Vec<u8> = (0..choices.next() % 20).map(|_| choices.next()).collect();
        text.splice(start..end, added);
    }
    text
}

fn empty() -> ScriptSync<u8> {
    let config = Config {
        proofs: true,
        limits: LIMITS,
    };
    let mut sync =
        ScriptSync::new(ProtocolVersion::V1_7, config).expect("the version has script hashes");
    sync.add_keychain(7, 3, |index| Some(script(index)))
        .expect("three scripts are not too many");
    sync
}

/// What a wallet with two transactions saves, one of them proven.
fn saved() -> Snapshot<u8> {
    let [ours, _] = chains();
    let with_proof = [true, false];
    let known = || transactions().iter().zip(with_proof).zip(0u32..);
    let block = |index: u32| 5 + index;
    Snapshot {
        watched: vec![(7, 5)],
        histories: known()
            .map(|((transaction, _), index)| SavedHistory {
                script_hash: ScriptHash::from_script(&script(index)),
                entries: vec![SavedEntry {
                    txid: transaction.compute_txid(),
                    height: i64::from(block(index)),
                    fee: None,
                }],
            })
            .collect(),
        transactions: known()
            .map(|((transaction, has_proof), index)| {
                let header = ours.get(block(index) as usize);
                SavedTransaction {
                    transaction: transaction.clone(),
                    proven: header.filter(|_| has_proof).map(|header| SavedProof {
                        height: block(index),
                        block_hash: header.block_hash(),
                    }),
                }
            })
            .collect(),
        headers: ours
            .first()
            .map(|header| (0, SavedHeader(*header)))
            .into_iter()
            .collect(),
    }
}

/// A chain of headers that was saved, or comes under a checkpoint: it starts or is refused, and what started links.
pub fn chain(data: &[u8]) {
    let mut choices = Choices(data);
    let networks = [Network::Regtest, Network::Bitcoin, Network::Testnet4];
    let network = networks
        .get(usize::from(choices.next() % 3))
        .copied()
        .unwrap_or(Network::Regtest);
    let height = match choices.next() {
        byte @ 0..=63 => u32::from(byte),
        shift => u32::MAX
            .wrapping_shr(u32::from(shift))
            .saturating_sub(u32::from(choices.next() % 40)),
    };
    let [ours, theirs] = chains();
    let chain = if choices.next() & 1 == 0 {
        ours
    } else {
        theirs
    };
    let from = usize::from(choices.next()) % chain.len();
    let count = usize::from(choices.next());
    let mut headers: Vec<Header> = chain.iter().skip(from).take(count).copied().collect();
    // As many as there must be, when that is few.
    if choices.next() & 1 == 0 {
        let start = (context_start(height) as usize).min(chain.len());
        let count = (height as usize).saturating_sub(start) + 1;
        headers = chain.iter().skip(start).take(count).copied().collect();
    }
    let last = headers.last().copied();
    let mut hash = || -> sha256d::Hash {
        let header = chain.get(usize::from(choices.next()) % chain.len());
        let header = header
            .or_else(|| chain.first())
            .expect("there is the genesis block");
        header.block_hash().to_raw_hash()
    };
    let root = hash();
    let branch: Vec<_> = (0..count % 40).map(|_| hash()).collect();
    let checkpoint = Checkpoint { height, root };
    let proof = Some(CheckpointProof { branch, root });
    let response = HeadersResponse {
        headers: headers.clone(),
        max: 2016,
        proof: proof.clone(),
    };
    let _ = HeaderChain::from_checkpoint(network, checkpoint, response);
    if let Some(header) = last {
        let header = HeaderResponse { header, proof };
        let _ = checkpoint.verify_header(u32::from(choices.next()), &header);
        let _ = checkpoint.verify_header(height, &header);
    }
    let _ = (
        checkpoint.start_request(),
        checkpoint.header_request(height),
    );
    let Ok(mut started) = HeaderChain::from_headers(network, height, headers) else {
        return;
    };
    assert_eq!(started.height(), height);
    let more = usize::from(choices.next());
    let next: Vec<Header> = chain.iter().skip(more).copied().collect();
    let _ = started.extend(&next, None);
    let headers = started.headers();
    assert!(headers.windows(2).all(|pair| match pair {
        [lower, upper] => upper.prev_blockhash == lower.block_hash(),
        _ => false,
    }));
    assert_eq!(
        headers.last().map(Header::block_hash),
        Some(started.tip_hash())
    );
    assert_eq!(
        started.first_height() as usize + headers.len(),
        started.height() as usize + 1
    );
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..80)) {
            scripts(&data);
            chain(&data);
        }
    }

    /// Otherwise the target would look at refusals only.
    #[test]
    fn what_is_saved_whole_is_taken() {
        let mut chain = HeaderChain::genesis(Network::Regtest);
        chain.extend(&chains()[0][1..], None).unwrap();
        let mut sync = empty();
        sync.restore(saved(), &chain).unwrap();
        assert_eq!(
            sync.transactions()
                .filter(|view| view.proven.is_some())
                .count(),
            1
        );
        scripts(&[0]);
        // The first eleven headers of the chain, the next one, and all of it.
        super::chain(&[0, 10, 0, 0, 0, 0]);
    }
}
