//! How long seeds take, beside the bare hash functions that they cannot do without.
//!
//! First the ratios: a check of a phrase to one HMAC-SHA512 of its length (at most 1.5 for ASCII phrases), derivation to one
//! PBKDF2 (at most 1.05), and generation to as many HMACs as tries are expected. Then every function by itself.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use electrum_seed::bitcoin::Network;
use electrum_seed::{
    Generator, Language, Seed, SeedType, bip32_seed, normalize, seed_type, version_number,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha512};

const ENGLISH: &str =
    "wild father tree among universe such mobile favorite target dynamic credit identify";
const JAPANESE: &str =
    "なのか ひろい しなん まなぶ つぶす さがす おしゃれ かわく おいかける けさき かいとう さたん";

fn main() {
    ratios();
    divan::main();
}

fn hmac(message: &str) -> [u8; 64] {
    let mac = Hmac::<Sha512>::new_from_slice(b"Seed version").unwrap();
    mac.chain_update(message).finalize().into_bytes().into()
}

fn pbkdf2(password: &str) -> [u8; 64] {
    let mut key = [0; 64];
    pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), b"electrum", 2048, &mut key);
    key
}

fn time(rounds: u32, f: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        f();
    }
    start.elapsed() / rounds
}

/// The median of the ratios of neighbouring runs, which slow spells of the machine hit alike, and the best time of each.
fn ratio(rounds: u32, mut ours: impl FnMut(), mut bare: impl FnMut()) -> (f64, Duration, Duration) {
    let mut ratios = Vec::new();
    let (mut best, mut best_bare) = (Duration::MAX, Duration::MAX);
    for _ in 0..101 {
        let (one, other) = (time(rounds, &mut ours), time(rounds, &mut bare));
        ratios.push(one.as_secs_f64() / other.as_secs_f64());
        best = best.min(one);
        best_bare = best_bare.min(other);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    (ratios.get(50).copied().unwrap(), best, best_bare)
}

fn ratios() {
    for (name, phrase) in [("English", ENGLISH), ("Japanese", JAPANESE)] {
        let normalized = normalize(phrase);
        let bare = || {
            black_box(hmac(black_box(&normalized)));
        };
        let checks: [(&str, &dyn Fn()); 2] = [
            ("version_number", &|| {
                black_box(version_number(black_box(phrase)));
            }),
            ("seed_type", &|| {
                black_box(seed_type(black_box(phrase)));
            }),
        ];
        for (what, check) in checks {
            let (ratio, best, best_bare) = ratio(500, check, bare);
            println!(
                "{what}, {name}: {best:?}, bare HMAC {best_bare:?}, ratio {ratio:.2}, {:.0} per second",
                1.0 / best.as_secs_f64()
            );
        }
    }
    let (ratio, best, best_bare) = ratio(
        1,
        || drop(black_box(bip32_seed(black_box(ENGLISH), ""))),
        || {
            black_box(pbkdf2(black_box(ENGLISH)));
        },
    );
    println!("bip32_seed: {best:?}, bare PBKDF2 {best_bare:?}, ratio {ratio:.3}");
    for kind in [SeedType::Standard, SeedType::Segwit] {
        let (mut tries, mut spent, runs) = (0, Duration::ZERO, 200);
        for number in 0..runs {
            let start = Instant::now();
            tries += generate(kind, number).tries;
            spent += start.elapsed();
        }
        let bare = (0..100)
            .map(|_| {
                time(200, &mut || {
                    black_box(hmac(black_box(ENGLISH)));
                })
            })
            .min()
            .unwrap();
        let expected = kind.expected_tries().unwrap();
        println!(
            "generate, {kind}: {:?}, {} tries on average, {expected} expected; {:.2} bare HMACs a try",
            spent / runs,
            tries / u64::from(runs),
            spent.as_secs_f64() / tries as f64 / bare.as_secs_f64()
        );
    }
}

fn generate(kind: SeedType, number: u32) -> electrum_seed::Generated {
    let generator = Generator::new(Language::English, kind);
    let mut draw = number;
    let generated = generator.generate_with(|entropy| {
        let hash = Sha512::digest(draw.to_le_bytes());
        entropy
            .iter_mut()
            .zip(hash)
            .for_each(|(to, from)| *to = from);
        draw += 1_000_000;
        Ok::<_, electrum_seed::GenerateError>(())
    });
    generated.unwrap()
}

#[divan::bench(args = [ENGLISH, JAPANESE])]
fn bare_hmac(phrase: &str) -> [u8; 64] {
    hmac(phrase)
}

#[divan::bench(args = [ENGLISH, JAPANESE])]
fn normalize_phrase(phrase: &str) -> usize {
    normalize(phrase).len()
}

#[divan::bench(args = [ENGLISH, JAPANESE])]
fn check(phrase: &str) -> Option<SeedType> {
    seed_type(phrase)
}

#[divan::bench]
fn bare_pbkdf2() -> [u8; 64] {
    pbkdf2(ENGLISH)
}

#[divan::bench]
fn stretch() -> u8 {
    bip32_seed(ENGLISH, "")
        .iter()
        .fold(0, |sum, byte| sum ^ byte)
}

#[divan::bench]
fn master_key() -> String {
    let seed = Seed::parse(ENGLISH).unwrap();
    let wallet = seed.wallet("", Network::Bitcoin, electrum_seed::Purpose::Wallet);
    match wallet.unwrap() {
        electrum_seed::Wallet::Account(account) => account.to_slip132(),
        other => panic!("{other:?}"),
    }
}

#[divan::bench(args = [SeedType::Standard, SeedType::Segwit])]
fn generate_seed(kind: SeedType) -> u64 {
    generate(kind, 1).tries
}
