//! What a certificate is known by.

use core::fmt;
use core::str::FromStr;

use bitcoin::hashes::{Hash, sha256};

/// The SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Hashes a certificate in DER.
    pub fn of(der: &[u8]) -> Self {
        Self(sha256::Hash::hash(der).to_byte_array())
    }

    /// Takes the 32 bytes.
    pub const fn from_byte_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn to_byte_array(self) -> [u8; 32] {
        self.0
    }
}

/// Pairs of hexadecimal digits with colons between them.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a SHA-256 of 64 hexadecimal digits")]
#[non_exhaustive]
pub struct ParseFingerprintError {
    /// The offending text, cut when it is long.
    pub text: String,
}

/// Takes digits of either case, with or without colons.
impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.replace(':', "");
        crate::hex::decode_array(&digits)
            .map(Self)
            .ok_or_else(|| ParseFingerprintError {
                text: text.chars().take(100).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_openssl_does() {
        // SHA-256 of nothing.
        let empty = "E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:27:AE:41:E4:64:9B:93:4C:A4:95:99:1B:78:52:B8:55";
        assert_eq!(Fingerprint::of(b"").to_string(), empty);
        assert_eq!(empty.parse(), Ok(Fingerprint::of(b"")));
        let plain = empty.replace(':', "").to_lowercase();
        assert_eq!(plain.parse(), Ok(Fingerprint::of(b"")));
        for text in ["", "E3", "xyz", &empty[..92]] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
