//! Starts at checkpoints, and proofs that lead to headers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;

use chain::Headers;
use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::bitcoin::{BlockHash, Network, Transaction, TxMerkleNode, Txid};
use electrum_protocol::header_chain::{
    Checkpoint, CheckpointError, Limits, PERIOD, ProofError, verify_transaction,
};
use electrum_protocol::method::block;
use electrum_protocol::method::transaction::MerkleResponse;
use electrum_protocol::{HeaderChain, HeaderSync, merkle};

fn server(count: usize, seed: u32) -> Headers {
    let mut server = Headers::genesis();
    server.mine(count, seed);
    server
}

fn leaves(server: &Headers, count: usize) -> Vec<sha256d::Hash> {
    let hashes = server.hashes().into_iter().take(count);
    hashes.map(BlockHash::to_raw_hash).collect()
}

#[test]
fn a_start_at_a_checkpoint() {
    let server = server(PERIOD as usize + 100, 1);
    for height in [1, 9, 10, 11, 2015, 2016, 2017, 2026, 2100] {
        let leaves = leaves(&server, height as usize + 1);
        let root = merkle::root(&leaves).unwrap();
        let checkpoint = Checkpoint { height, root };
        let request = checkpoint.start_request();
        assert!(request.count <= 2016);
        let answer = |top: u32| block::HeadersResponse {
            headers: server.0[request.start_height as usize..=top as usize].to_vec(),
            max: 2016,
            proof: merkle::branch(&leaves, top as usize)
                .map(|(branch, root)| electrum_protocol::CheckpointProof { branch, root }),
        };
        let start = |response| HeaderChain::from_checkpoint(Network::Regtest, checkpoint, response);
        let chain = start(answer(height)).unwrap();
        assert_eq!((chain.height(), chain.fixed_height()), (height, height));
        // The rules find all they need, and so does the follower.
        let mut sync = HeaderSync::new(chain, Limits::default());
        sync.announce(server.tip(), None).unwrap();
        while let Some(request) = sync.poll_request() {
            sync.receive(server.answer(&request, 500), None).unwrap();
        }
        assert_eq!(sync.chain().tip_hash(), server.tip().header.block_hash());

        // Below the start headers are proven one by one.
        let proven = |at: u32| block::HeaderResponse {
            header: server.0[at as usize],
            proof: merkle::branch(&leaves, at as usize)
                .map(|(branch, root)| electrum_protocol::CheckpointProof { branch, root }),
        };
        assert_eq!(checkpoint.header_request(0).cp_height, height);
        assert_eq!(checkpoint.verify_header(0, &proven(0)), Ok(()));
        assert_eq!(checkpoint.verify_header(height, &proven(height)), Ok(()));
        assert!(matches!(
            checkpoint.verify_header(0, &proven(1)),
            Err(CheckpointError::Unproven { height: 0, .. })
        ));
        assert!(matches!(
            checkpoint.verify_header(height + 1, &proven(height)),
            Err(CheckpointError::Above { .. })
        ));

        // And what is not the checkpoint's is refused.
        let with = |change: fn(&mut block::HeadersResponse)| {
            let mut response = answer(height);
            change(&mut response);
            start(response).unwrap_err()
        };
        assert_eq!(
            with(|response| response.proof = None),
            CheckpointError::NoProof { height }
        );
        let other_root = with(|response| response.proof.as_mut().unwrap().root = Hash::all_zeros());
        assert!(matches!(other_root, CheckpointError::OtherRoot { .. }));
        let short = with(|response| response.headers.truncate(response.headers.len() - 1));
        assert!(matches!(short, CheckpointError::WrongCount { .. }));
        let unlinked = with(|response| response.headers[0].nonce += 1);
        assert!(matches!(unlinked, CheckpointError::Unlinked { .. }));
        let unproven = with(|response| response.headers.last_mut().unwrap().nonce += 1);
        assert!(matches!(unproven, CheckpointError::Unproven { .. }));
    }
}

/// Block 100,000 of mainnet: four transactions.
#[test]
fn a_transaction_of_block_100000() {
    let txids = [
        "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
        "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
        "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
        "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
    ]
    .map(|txid| txid.parse::<sha256d::Hash>().unwrap());
    let root = "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766";
    let mut header = chain::genesis();
    header.merkle_root = root.parse().unwrap();
    for (pos, txid) in txids.iter().enumerate() {
        let (branch, _) = merkle::branch(&txids, pos).unwrap();
        let proof = MerkleResponse {
            block_height: 100_000,
            merkle: branch,
            pos: pos as u32,
        };
        let txid = Txid::from_raw_hash(*txid);
        let verify = |height, header| verify_transaction(txid, height, &proof, header);
        assert_eq!(verify(100_000, &header), Ok(header.block_hash()));
        assert_eq!(
            verify(99_999, &header),
            Err(ProofError::OtherHeight {
                asked: 99_999,
                found: 100_000
            })
        );
        assert!(matches!(
            verify(100_000, &chain::genesis()),
            Err(ProofError::Merkle { .. })
        ));
        let chain = HeaderChain::genesis(Network::Regtest);
        assert_eq!(
            chain.verify_transaction(txid, 100_000, &proof),
            Err(ProofError::UnknownHeader { height: 100_000 })
        );
    }
}

/// A block with a transaction of 64 bytes, the second half of which is chosen to be the hash of another transaction:
/// the proof of that one leads through the first.
#[test]
fn a_proof_through_a_transaction_is_refused() {
    // One input without script, one output with a script of four bytes.
    let transaction = "01000000\
        01\
        1111111111111111111111111111111111111111111111111111111111111111\
        00000000\
        00\
        ffffffff\
        01\
        0000000000000000\
        04\
        aabbccdd\
        00000000";
    let bytes = encode::deserialize_hex::<Transaction>(transaction).unwrap();
    let bytes = encode::serialize(&bytes);
    assert_eq!(bytes.len(), 64);
    let (left, right) = bytes.split_at(32);
    let coinbase = sha256d::Hash::hash(b"coinbase");
    let inside = sha256d::Hash::hash(&bytes);
    let root = merkle::root(&[coinbase, inside]).unwrap();
    let mut header = chain::genesis();
    header.merkle_root = TxMerkleNode::from_raw_hash(root);
    let forged = sha256d::Hash::from_slice(right).unwrap();
    let proof = MerkleResponse {
        block_height: 7,
        merkle: vec![sha256d::Hash::from_slice(left).unwrap(), coinbase],
        pos: 3,
    };
    assert_eq!(merkle::verify(forged, 3, &proof.merkle, root), Ok(()));
    let txid = Txid::from_raw_hash(forged);
    assert_eq!(
        verify_transaction(txid, 7, &proof, &header),
        Err(ProofError::TransactionInside { txid, level: 0 })
    );
}
