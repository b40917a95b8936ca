//! The Electrum wallet itself agrees: seeds generated here open the same wallets there, and seeds generated there open the
//! same wallets here.
//!
//! Runs an installed Electrum offline. `ELECTRUM_SEEDS` says how many seeds are generated of each type and language on each
//! side (2 if unset); `SKIP_ELECTRUM_WALLET=1` leaves all of this out.
#![cfg(all(feature = "all-languages", feature = "keys"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod record;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use electrum_seed::bitcoin::Network;
use electrum_seed::{GenerateError, Generator, Language, OldSeed, Seed, SeedType, normalize};
use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use tempfile::TempDir;

/// What extends the phrases: nothing, or what normalization changes.
const PASSPHRASES: [&str; 3] = [
    "",
    " Correct  HORSE\tbattery ",
    "Él Niño　なのか ひろい １２３ ẞΣ",
];

/// Types with the least number of bits: two-factor seeds have 12 words, or 20 and more.
const KINDS: [(SeedType, u32); 5] = [
    (SeedType::Standard, 132),
    (SeedType::Segwit, 132),
    (SeedType::TwoFactor, 128),
    (SeedType::TwoFactor, 264),
    (SeedType::TwoFactorSegwit, 132),
];

/// A running Electrum; dropping it ends it.
struct Electrum {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    _folder: TempDir,
}

impl Electrum {
    /// `None` when it is to be left out.
    fn start() -> Option<Self> {
        if std::env::var("SKIP_ELECTRUM_WALLET").is_ok_and(|value| value == "1") {
            return None;
        }
        // Debian's wallet belongs to Debian's interpreter, whatever else is first in PATH.
        let python = std::env::var_os("ELECTRUM_PYTHON")
            .map_or_else(|| PathBuf::from("/usr/bin/python3"), PathBuf::from);
        let importable = Command::new(&python)
            .args(["-c", "import electrum"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        assert!(
            importable,
            "{} cannot import electrum: run the tests with contrib/test.sh, which installs it, or set ELECTRUM_PYTHON; \
             SKIP_ELECTRUM_WALLET=1 leaves this test out",
            python.display()
        );
        let folder = TempDir::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/electrum/wallet.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let questions = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Some(Self {
            child,
            questions,
            answers,
            _folder: folder,
        })
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.questions, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no answer to {question}"))
    }

    /// Opens a seed on both sides.
    fn compare(&mut self, phrase: &str, passphrase: &str, network: Network) -> Value {
        let name = match network {
            Network::Bitcoin => "mainnet",
            _ => "testnet",
        };
        let theirs = self.ask(
            &json!({ "do": "restore", "phrase": phrase, "passphrase": passphrase, "network": name }),
        );
        let ours = record::restore(phrase, passphrase, network);
        assert_eq!(ours, theirs, "{phrase:?} with {passphrase:?} on {name}");
        ours
    }

    /// Opens a seed with every passphrase on both sides, and checks its type.
    fn compare_all(&mut self, phrase: &str, kind: SeedType, network: Network) {
        let seed = Seed::parse(phrase).unwrap();
        let count = if seed.can_have_passphrase() { 3 } else { 1 };
        for passphrase in PASSPHRASES.iter().take(count) {
            let record = self.compare(phrase, passphrase, network);
            assert_eq!(record["seed_type"], kind.as_str(), "{phrase}");
        }
    }
}

impl Drop for Electrum {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count() -> u32 {
    std::env::var("ELECTRUM_SEEDS").map_or(2, |count| count.parse().unwrap())
}

fn network(number: u32) -> Network {
    if number.is_multiple_of(2) {
        Network::Bitcoin
    } else {
        Network::Testnet
    }
}

/// Bytes that are the same in every run.
fn entropy(label: &str, number: u32, draw: u32, bytes: &mut [u8]) {
    let hash = Sha512::digest(format!("{label} {number} {draw}"));
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
}

fn ours_in_electrum(language: Language) {
    let Some(mut electrum) = Electrum::start() else {
        return;
    };
    for (kind, bits) in KINDS {
        let generator = Generator::new(language, kind).bits(bits).unwrap();
        for number in 0..count() {
            let label = format!("{language} {kind} {bits}");
            let mut draw = 0;
            let generated = generator.generate_with(|bytes| {
                entropy(&label, number, draw, bytes);
                draw += 1;
                Ok::<_, GenerateError>(())
            });
            let phrase = generated.unwrap().seed.phrase().to_owned();
            electrum.compare_all(&phrase, kind, network(number));
        }
    }
}

fn electrums_here(language: Language) {
    let Some(mut electrum) = Electrum::start() else {
        return;
    };
    for (kind, bits) in KINDS {
        for number in 0..count() {
            let phrase = electrum.ask(&json!({
                "do": "make", "seed_type": kind.as_str(), "language": language.code(), "bits": bits,
            }));
            electrum.compare_all(phrase.as_str().unwrap(), kind, network(number));
        }
    }
}

macro_rules! languages {
    ($($ours:ident $theirs:ident $language:ident,)*) => {
        $(
            #[test]
            fn $ours() {
                ours_in_electrum(Language::$language);
            }

            #[test]
            fn $theirs() {
                electrums_here(Language::$language);
            }
        )*
    };
}

languages! {
    english_seeds_open_in_electrum electrums_english_seeds_open English,
    spanish_seeds_open_in_electrum electrums_spanish_seeds_open Spanish,
    japanese_seeds_open_in_electrum electrums_japanese_seeds_open Japanese,
    portuguese_seeds_open_in_electrum electrums_portuguese_seeds_open Portuguese,
    chinese_seeds_open_in_electrum electrums_chinese_seeds_open Chinese,
}

#[test]
fn old_seeds_open_in_electrum() {
    let Some(mut electrum) = Electrum::start() else {
        return;
    };
    for number in 0..count() {
        for length in [16, 32] {
            let mut bytes = [0; 32];
            entropy("old", number, length, &mut bytes);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let hex = hex.get(..length as usize * 2).unwrap();
            let words = OldSeed::parse(hex).unwrap().to_words().unwrap();
            let from_hex = electrum.compare(hex, "", network(number));
            let from_words = electrum.compare(&words, "", network(number));
            assert_eq!(from_hex, from_words);
            assert_eq!(from_hex["hex_seed"], hex);
        }
    }
}

#[test]
fn what_is_no_seed_is_none_in_electrum() {
    let Some(mut electrum) = Electrum::start() else {
        return;
    };
    // One text of 256 is a seed by accident; then its wallets are compared.
    for number in 0..count() * 100 {
        let word = |at: u32| {
            let mut bytes = [0; 2];
            entropy("none", number, at, &mut bytes);
            let list = Language::English.words();
            list.word(usize::from(u16::from_le_bytes(bytes)) % list.len())
                .unwrap()
        };
        let words: Vec<&str> = (0..1 + number % 30).map(word).collect();
        electrum.compare(&words.join(" "), "", Network::Bitcoin);
    }
}

#[test]
fn texts_are_normalized_as_in_electrum() {
    let Some(mut electrum) = Electrum::start() else {
        return;
    };
    let texts = electrum.ask(&json!({ "do": "texts", "start": 1, "count": count() * 1000 }));
    for text in texts.as_array().unwrap() {
        let normalized = electrum.ask(&json!({ "do": "normalize", "text": text }));
        let text = text.as_str().unwrap();
        assert_eq!(
            *normalize(text),
            normalized.as_str().unwrap(),
            "{}",
            text.escape_unicode()
        );
    }
}
