//! Versions of Electrum that made other keys of the same words.

use bitcoin::Network;
use clap::ValueEnum;
use electrum_seed::{DeriveError, OldMasterKey, OldSeed, Seed, SeedType, Wallet};

/// The newest version whose keys are wanted; the differences add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Era {
    /// 2.0 to 2.6: two-factor phrases of 20 words and more are split in the middle
    #[value(name = "2.6")]
    V2_6,
    /// Up to 2.9: hex digits of old seeds are taken as they are typed, capitals too
    #[value(name = "2.9")]
    V2_9,
    /// Up to 4.6.0: old seeds whose words stand for an odd number of digits are opened
    #[value(name = "4.6.0")]
    V4_6_0,
}

impl Era {
    /// The wallet where it is another one than today's.
    pub(super) fn wallet(
        self,
        seed: &Seed,
        network: Network,
    ) -> Result<Option<Wallet>, DeriveError> {
        match seed.seed_type() {
            SeedType::TwoFactor if self == Self::V2_6 && seed.num_words() != 12 => seed
                .two_factor_before_2_7(network)
                .map(|keys| Some(Wallet::TwoFactor(keys.into()))),
            SeedType::Old => {
                let typed = OldSeed::from_hex_as_typed(seed.phrase().trim());
                let old = match typed {
                    Ok(typed) if self <= Self::V2_9 => typed,
                    _ => OldSeed::parse(seed.normalized())?,
                };
                OldMasterKey::as_before_4_6_1(&old, network).map(|key| Some(Wallet::Old(key)))
            }
            _ => Ok(None),
        }
    }
}
