//! Protocol versions and their negotiation.

use core::fmt;
use core::str::FromStr;

/// A version of the protocol: dotted numbers such as `1.4` or `1.4.2`.
///
/// A missing part counts as zero, so `1.6` and `1.6.0` are the same version; [`Display`](fmt::Display) leaves a
/// zero patch away.
///
/// Specification: "Protocol versions" in the protocol basics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
    /// The third number.
    pub patch: u16,
}

impl ProtocolVersion {
    /// Protocol 0.10: before JSON-RPC 2.0; addresses, block numbers, headers taken apart. Stands for everything before it.
    pub const V0_10: Self = Self::new(0, 10, 0);
    /// Protocol 1.0: as 0.10, in envelopes of JSON-RPC 2.0.
    pub const V1_0: Self = Self::new(1, 0, 0);
    /// Protocol 1.1: adds script hashes and negotiation.
    pub const V1_1: Self = Self::new(1, 1, 0);
    /// Protocol 1.2: adds consecutive headers, the fee histogram, verbose transactions.
    pub const V1_2: Self = Self::new(1, 2, 0);
    /// Protocol 1.3: no addresses any more.
    pub const V1_3: Self = Self::new(1, 3, 0);
    /// Protocol 1.4: checkpoint proofs, no deserialized headers. What a silent client is taken to speak.
    pub const V1_4: Self = Self::new(1, 4, 0);
    /// Protocol 1.4.1: differs from 1.4 only for chains with auxiliary proof of work.
    pub const V1_4_1: Self = Self::new(1, 4, 1);
    /// Protocol 1.4.2: adds `blockchain.scripthash.unsubscribe`.
    pub const V1_4_2: Self = Self::new(1, 4, 2);
    /// Protocol 1.6: packages, canonical mempool order, headers as a list.
    pub const V1_6: Self = Self::new(1, 6, 0);
    /// Protocol 1.7: scripts in the place of their hashes, outpoints, pings that hide what is said.
    pub const V1_7: Self = Self::new(1, 7, 0);

    /// Every version that this crate speaks, oldest first.
    pub const SPOKEN: [Self; 10] = [
        Self::V0_10,
        Self::V1_0,
        Self::V1_1,
        Self::V1_2,
        Self::V1_3,
        Self::V1_4,
        Self::V1_4_1,
        Self::V1_4_2,
        Self::V1_6,
        Self::V1_7,
    ];

    /// Makes a version of its three numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch != 0 {
            write!(f, ".{}", self.patch)?;
        }
        Ok(())
    }
}

/// Text that is not a protocol version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a protocol version such as \"1.4\"")]
#[non_exhaustive]
pub struct ParseVersionError {
    /// The offending text.
    pub text: String,
}

impl FromStr for ProtocolVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseVersionError {
            text: text.to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<ProtocolVersion> {
    let mut numbers = [0; 3];
    let mut parts = text.split('.');
    // The first part is never absent: splitting yields at least one piece.
    for (number, part) in numbers.iter_mut().zip(parts.by_ref()) {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *number = digits.then_some(part)?.parse().ok()?;
    }
    let [major, minor, patch] = numbers;
    parts.next().is_none().then_some(ProtocolVersion {
        major,
        minor,
        patch,
    })
}

/// The versions that one side speaks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// The oldest version.
    pub min: ProtocolVersion,
    /// The newest version.
    pub max: ProtocolVersion,
}

impl VersionRange {
    /// Every version that this crate speaks.
    pub const SPOKEN: Self = Self {
        min: ProtocolVersion::V0_10,
        max: ProtocolVersion::V1_7,
    };

    /// What wallets speak, 1.4 to 1.6: a client that names scripts by their hashes asks for these.
    pub const WALLETS: Self = Self {
        min: ProtocolVersion::V1_4,
        max: ProtocolVersion::V1_6,
    };

    /// Makes a range of both its ends.
    pub const fn new(min: ProtocolVersion, max: ProtocolVersion) -> Self {
        Self { min, max }
    }

    /// Makes a range of one version.
    pub const fn exactly(version: ProtocolVersion) -> Self {
        Self {
            min: version,
            max: version,
        }
    }

    /// Tells whether `version` lies in the range.
    pub fn contains(&self, version: ProtocolVersion) -> bool {
        self.min <= version && version <= self.max
    }

    /// Returns the newest version that lies in both ranges, if there is one.
    ///
    /// A client may ask for more than a server has: `["1.2", "2.0"]` meets a server of 1.4 to 1.6 at 1.6. A version
    /// between those that are published, such as 1.5, is spoken like the published one below it. Versions before 0.10
    /// are not told apart: who asks for 0.6 gets 0.10.
    ///
    /// Specification: "server.version" in the protocol methods.
    pub fn negotiate(&self, asked: Self) -> Option<ProtocolVersion> {
        let newest = self.max.min(asked.max.max(ProtocolVersion::V0_10));
        (newest >= self.min.max(asked.min)).then_some(newest)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let check = |text: &str, version: ProtocolVersion, canonical: &str| {
            assert_eq!(text.parse(), Ok(version));
            assert_eq!(version.to_string(), canonical);
        };
        check("1.4", ProtocolVersion::V1_4, "1.4");
        check("1.4.0", ProtocolVersion::V1_4, "1.4");
        check("1.4.2", ProtocolVersion::V1_4_2, "1.4.2");
        check("1.10", ProtocolVersion::new(1, 10, 0), "1.10");
        check("2", ProtocolVersion::new(2, 0, 0), "2.0");
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "", ".", "1.", ".4", "1.4.", "1.4.2.1", "v1.4", "1,4", "+1.4", "1.-4", "1.4 ",
            "70000.1", "٣",
        ] {
            assert_eq!(
                text.parse::<ProtocolVersion>(),
                Err(ParseVersionError {
                    text: text.to_owned()
                })
            );
        }
    }

    #[test]
    fn order_is_numeric() {
        assert!(ProtocolVersion::SPOKEN.is_sorted());
        assert!(ProtocolVersion::new(0, 9, 0) < ProtocolVersion::V0_10);
        assert!(ProtocolVersion::V1_4 < ProtocolVersion::V1_4_1);
        assert!(ProtocolVersion::V1_4_2 < ProtocolVersion::V1_6);
        assert!(ProtocolVersion::V1_6 < ProtocolVersion::new(1, 10, 0));
    }

    #[test]
    fn ranges_meet_at_the_newest_common_version() {
        let check = |min: &str, max: &str, met: Option<ProtocolVersion>| {
            let asked = VersionRange::new(min.parse().unwrap(), max.parse().unwrap());
            assert_eq!(VersionRange::SPOKEN.negotiate(asked), met, "{asked}");
        };
        check("1.4", "1.4", Some(ProtocolVersion::V1_4));
        check("1.4", "1.6", Some(ProtocolVersion::V1_6));
        check("1.3", "1.4.2", Some(ProtocolVersion::V1_4_2));
        check("0.8", "9.9", Some(ProtocolVersion::V1_7));
        check("0.10", "0.10", Some(ProtocolVersion::V0_10));
        check("0.6", "0.6", Some(ProtocolVersion::V0_10));
        check("0.9", "1.0", Some(ProtocolVersion::V1_0));
        check("1.1", "1.2", Some(ProtocolVersion::V1_2));
        check("1.4", "1.5", Some(ProtocolVersion::new(1, 5, 0)));
        check("1.4.3", "1.4.3", Some(ProtocolVersion::new(1, 4, 3)));
        check("1.6", "1.6", Some(ProtocolVersion::V1_6));
        check("1.2", "1.3", Some(ProtocolVersion::V1_3));
        check("1.7", "1.7", Some(ProtocolVersion::V1_7));
        check("1.8", "2.0", None);
        check("1.6", "1.4", None);
        check("1.6", "1.5", None);
        let newer = VersionRange::new(ProtocolVersion::V1_4, ProtocolVersion::V1_6);
        for old in ["0.6", "0.10", "1.3"] {
            assert_eq!(
                newer.negotiate(VersionRange::exactly(old.parse().unwrap())),
                None
            );
        }
        let narrow = VersionRange::exactly(ProtocolVersion::V1_4);
        assert_eq!(
            narrow.negotiate(VersionRange::SPOKEN),
            Some(ProtocolVersion::V1_4)
        );
    }
}
