//! What a chain takes for a valid header, against facts of the real chains and by chains made by hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;

use electrum_protocol::HeaderChain;
use electrum_protocol::bitcoin::block::{Header, Version};
use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::bitcoin::hashes::Hash;
use electrum_protocol::bitcoin::{BlockHash, CompactTarget, Network};
use electrum_protocol::header_chain::{HeaderFault, PERIOD};

/// Blocks 1 to 3 of mainnet.
const MAINNET: [&str; 3] = [
    "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299",
    "010000004860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000d5fdcc541e25de1c7a5addedf24858b8bb665c9f36ef744ee42c316022c90f9bb0bc6649ffff001d08d2bd61",
    "01000000bddd99ccfda39da1b108ce1a5d70038d0a967bacb68b6b63065f626a0000000044f672226090d85db9a9f2fbfe5f0f9609b387af7be5b7fbb7a1767c831c9e995dbe6649ffff001d05e0ed6d",
];

const EASIEST: u32 = 0x1d00_ffff;

fn mainnet() -> Vec<Header> {
    let decode = |hex: &&str| encode::deserialize_hex(hex).unwrap();
    MAINNET.iter().map(decode).collect()
}

/// What is wrong with a header that is put on a chain.
fn fault(chain: &HeaderChain, header: Header, now: Option<u32>) -> Option<HeaderFault> {
    let error = chain.clone().extend(&[header], now).err()?;
    assert_eq!(error.height, chain.height() + 1);
    assert_eq!(error.hash, header.block_hash());
    Some(error.fault)
}

#[test]
fn the_first_blocks_of_mainnet() {
    let mut chain = HeaderChain::genesis(Network::Bitcoin);
    chain.extend(&mainnet(), Some(1_231_600_000)).unwrap();
    assert_eq!(chain.height(), 3);
    assert_eq!(
        chain.tip_hash().to_string(),
        "0000000082b5015589a3fdf2d4baff403e6f0be035a5d9742c1cae6295464449"
    );
    assert_eq!(chain.header(2), Some(&mainnet()[1]));
    assert_eq!(chain.header(4), None);
}

#[test]
fn headers_that_are_none() {
    let chain = HeaderChain::genesis(Network::Bitcoin);
    let good = mainnet()[0];
    assert_eq!(fault(&chain, good, None), None);
    assert_eq!(
        fault(&chain, mainnet()[1], None),
        Some(HeaderFault::Unlinked {
            expected: chain.tip_hash(),
            found: good.block_hash(),
        })
    );
    let worked_less = Header { nonce: 0, ..good };
    assert_eq!(
        fault(&chain, worked_less, None),
        Some(HeaderFault::NoProofOfWork)
    );
    let easier = Header {
        bits: CompactTarget::from_consensus(0x207f_ffff),
        ..good
    };
    assert!(matches!(
        fault(&chain, easier, None),
        Some(HeaderFault::WrongBits { expected, .. }) if expected == good.bits
    ));
    // The genesis block is the only one before it, so its time is the median.
    let old = Header {
        time: 1_231_006_505,
        ..good
    };
    assert_eq!(
        fault(&chain, old, None),
        Some(HeaderFault::TimeTooOld {
            time: old.time,
            median: old.time
        })
    );
    let now = good.time - 7200;
    assert_eq!(fault(&chain, good, Some(now)), None);
    assert_eq!(
        fault(&chain, good, Some(now - 1)),
        Some(HeaderFault::TimeTooNew {
            time: good.time,
            now: now - 1
        })
    );
    // Nothing is taken of headers of which one is wrong.
    let mut chain = chain;
    assert!(chain.extend(&[good, mainnet()[2]], None).is_err());
    assert_eq!(chain.height(), 0);
}

/// A period of 2016 headers up to `height`, the first and the last of which have these times and bits.
///
/// Between them are headers whose times and bits decide nothing but the median time.
fn period(network: Network, height: u32, first: (u32, u32), last: (u32, u32)) -> HeaderChain {
    assert!((height + 1).is_multiple_of(PERIOD));
    let mut headers = vec![chain::header(BlockHash::all_zeros(), first.0, first.1)];
    for index in 1..PERIOD {
        let (time, bits) = if index + 1 == PERIOD { last } else { first };
        let previous = headers.last().unwrap().block_hash();
        headers.push(chain::header(previous, time, bits));
    }
    HeaderChain::from_headers(network, height, headers).unwrap()
}

/// The bits that the next header needs, whatever else is wrong with it.
fn next_bits(chain: &HeaderChain, time: u32) -> u32 {
    let header = chain::header(chain.tip_hash(), time, 0);
    match fault(chain, header, None) {
        Some(HeaderFault::WrongBits { expected, .. }) => expected.to_consensus(),
        other => panic!("{other:?}"),
    }
}

/// Changes of the difficulty as they happened on mainnet, and as Bitcoin Core's own tests have them.
#[test]
fn difficulty_of_mainnet() {
    let check = |height, first, last, bits, expected| {
        let chain = period(Network::Bitcoin, height, (first, bits), (last, bits));
        assert_eq!(next_bits(&chain, last + 600), expected, "after {height}");
    };
    // Block 32256, the first with another difficulty than genesis.
    check(32_255, 1_261_130_161, 1_262_152_739, EASIEST, 0x1d00_d86a);
    // Block 2016: slower than two weeks, and there is no easier target.
    check(2_015, 1_231_006_505, 1_233_061_996, EASIEST, EASIEST);
    // Block 68544: faster than half a week counts as half a week.
    check(
        68_543,
        1_279_008_237,
        1_279_297_671,
        0x1c05_a3f4,
        0x1c01_68fd,
    );
    // Slower than eight weeks counts as eight weeks; this did not happen.
    check(
        46_367,
        1_263_163_443,
        1_269_211_443,
        0x1c38_7f6f,
        0x1d00_e1fd,
    );
    // A period that ends before it begins is as short as possible, not as long.
    check(
        68_543,
        1_279_297_671,
        1_279_008_237,
        0x1c05_a3f4,
        0x1c01_68fd,
    );
}

/// The first two changes of signet's difficulty.
#[test]
fn difficulty_of_signet() {
    let check = |height, first, last, bits, expected| {
        let chain = period(Network::Signet, height, (first, bits), (last, bits));
        assert_eq!(next_bits(&chain, last + 1_000_000), expected);
    };
    check(
        2_015,
        1_598_918_400,
        1_599_332_177,
        503_543_726,
        503_394_215,
    );
    check(
        4_031,
        1_599_332_844,
        1_600_591_200,
        503_394_215,
        503_397_348,
    );
}

const WEEKS: u32 = 14 * 24 * 60 * 60;
const START: u32 = 1_700_000_000;
const HARD: u32 = 0x1a00_ffff;

/// Testnet3 measures against the last block of a period, even when it was an easy one; testnet4 against the first.
#[test]
fn difficulty_of_testnets_after_an_easy_block() {
    let check = |network, last_bits, expected| {
        let last = (START + WEEKS, last_bits);
        let chain = period(network, 4_031, (START, HARD), last);
        assert_eq!(
            next_bits(&chain, START + WEEKS + 5_000),
            expected,
            "{network}"
        );
    };
    check(Network::Testnet, EASIEST, EASIEST);
    check(Network::Testnet, HARD, HARD);
    check(Network::Testnet4, EASIEST, HARD);
    check(Network::Testnet4, HARD, HARD);
}

/// Twenty minutes after its predecessor a block of a testnet may be easy; the next one may not.
#[test]
fn easy_blocks_of_testnets() {
    for network in [Network::Testnet, Network::Testnet4, Network::Bitcoin] {
        let mut headers = vec![chain::header(BlockHash::all_zeros(), START, HARD)];
        for (time, bits) in [
            (600, HARD),
            (1_200, HARD),
            (2_401, EASIEST),
            (4_000, EASIEST),
        ] {
            let previous = headers.last().unwrap().block_hash();
            headers.push(chain::header(previous, START + time, bits));
        }
        // From the first of the period at 2016 up to 2026: ten more, so that the median has its eleven.
        while headers.len() < 11 {
            let previous = headers.last().unwrap().block_hash();
            headers.push(chain::header(previous, START + 6_000, EASIEST));
        }
        let chain = HeaderChain::from_headers(network, PERIOD + 10, headers).unwrap();
        let (soon, late) = (START + 6_000 + 1_200, START + 6_000 + 1_201);
        let expected = match network {
            Network::Bitcoin => (EASIEST, EASIEST),
            _ => (HARD, EASIEST),
        };
        assert_eq!((next_bits(&chain, soon), next_bits(&chain, late)), expected);
    }
}

/// When all blocks of a period were easy, the first one decides, even if it is easy itself.
#[test]
fn easy_blocks_up_to_the_beginning_of_a_period() {
    let mut headers = vec![chain::header(BlockHash::all_zeros(), START, EASIEST)];
    while headers.len() < 11 {
        let previous = headers.last().unwrap().block_hash();
        headers.push(chain::header(previous, START, EASIEST));
    }
    let chain = HeaderChain::from_headers(Network::Testnet, PERIOD + 10, headers).unwrap();
    assert_eq!(next_bits(&chain, START + 1), EASIEST);
}

/// BIP 94: the first block of a period lies at most 600 seconds before its predecessor.
#[test]
fn timewarp_on_testnet4() {
    let end = START + WEEKS;
    for (network, warps) in [(Network::Testnet4, true), (Network::Testnet, false)] {
        let chain = period(network, 4_031, (START, HARD), (end, HARD));
        let at = |time| fault(&chain, chain::header(chain.tip_hash(), time, HARD), None);
        assert_eq!(at(end - 600), Some(HeaderFault::NoProofOfWork));
        let expected = match warps {
            true => HeaderFault::Timewarp {
                time: end - 601,
                previous: end,
            },
            false => HeaderFault::NoProofOfWork,
        };
        assert_eq!(at(end - 601), Some(expected));
    }
}

/// A run of linked headers with these times, up to and with that at `height`.
fn run(height: u32, times: impl Fn(u32) -> u32) -> HeaderChain {
    let first = (height - height % PERIOD).min(height - 10);
    let headers = (first..=height).scan(BlockHash::all_zeros(), |previous, height| {
        let header = chain::header(*previous, times(height), HARD);
        *previous = header.block_hash();
        Some(header)
    });
    HeaderChain::from_headers(Network::Bitcoin, height, headers.collect()).unwrap()
}

/// The last eleven have the times 1000, 900 … 0, those before are later than all of them: the median of eleven is 500,
/// that of ten 400, that of twelve 600.
#[test]
fn median_time_of_eleven() {
    let height = 2 * PERIOD - 2;
    let chain = run(height, |at| match (height - at) * 100 {
        late @ ..=1_000 => START + late,
        _ => START + 50_000,
    });
    let at = |time| fault(&chain, chain::header(chain.tip_hash(), time, HARD), None);
    let (time, median) = (START + 500, START + 500);
    assert_eq!(at(time), Some(HeaderFault::TimeTooOld { time, median }));
    assert_eq!(at(time + 1), Some(HeaderFault::NoProofOfWork));
}

/// BIP 34, 65 and 66 with the heights of mainnet.
#[test]
fn versions_of_mainnet() {
    let check = |height: u32, version: i32, required: Option<i32>| {
        let chain = run(height - 1, |at| START + at);
        let mut header = chain::header(chain.tip_hash(), START + height, HARD);
        header.version = Version::from_consensus(version);
        let expected = match required {
            Some(required) => HeaderFault::OldVersion { version, required },
            None => HeaderFault::NoProofOfWork,
        };
        assert_eq!(
            fault(&chain, header, None),
            Some(expected),
            "{version} at {height}"
        );
    };
    check(227_930, 1, None);
    check(227_931, 1, Some(2));
    check(227_931, 2, None);
    check(363_724, 2, None);
    check(363_725, 2, Some(3));
    check(388_380, 3, None);
    check(388_381, 3, Some(4));
    check(388_381, 4, None);
    check(900_000, -1, Some(4));
}

/// Regtest never changes its difficulty, however fast its blocks come.
#[test]
fn regtest_across_a_period() {
    let mut headers = chain::Headers::genesis();
    headers.mine(PERIOD as usize + 20, 1);
    let mut chain = HeaderChain::genesis(Network::Regtest);
    chain.extend(&headers.0[1..], None).unwrap();
    assert_eq!(chain.height(), PERIOD + 20);
    assert_eq!(chain.headers(), headers.0);
}
