//! Ranges of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// A range of addresses that share a prefix: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet {
    /// The address with all other bits zero.
    base: IpAddr,
    prefix: u8,
}

/// Text that is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not a subnet such as 10.0.0.0/8, fc00::/7 or 192.0.2.1")]
#[non_exhaustive]
pub struct ParseSubnetError {
    /// What was found.
    pub text: String,
}

impl Subnet {
    /// Returns the range of the addresses that share the first `prefix` bits with `address`; one address when there are
    /// fewer bits than that. An IPv4 address that is written as an IPv6 one is an IPv4 address.
    pub fn of(address: IpAddr, prefix: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(prefix))
                    .unwrap_or_default();
                Self {
                    base: IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask)),
                    prefix,
                }
            }
            IpAddr::V6(address) => {
                let prefix = prefix.min(128);
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(prefix))
                    .unwrap_or_default();
                Self {
                    base: IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)),
                    prefix,
                }
            }
        }
    }

    /// Tells whether an address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && Self::of(address, self.prefix) == *self
    }

    /// Returns this machine's own addresses.
    pub fn loopback() -> [Self; 2] {
        [
            Self::of(Ipv4Addr::LOCALHOST.into(), 8),
            Self::of(Ipv6Addr::LOCALHOST.into(), 128),
        ]
    }
}

impl FromStr for Subnet {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, ParseSubnetError> {
        let error = || ParseSubnetError {
            text: text.to_owned(),
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| error())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| error())?,
            None => bits,
        };
        if prefix > bits {
            return Err(error());
        }
        Ok(Self::of(address, prefix))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_has_the_addresses_with_its_prefix() {
        let private = subnet("10.1.2.3/8");
        assert_eq!(private.to_string(), "10.0.0.0/8");
        assert!(private.contains(ip("10.255.0.1")));
        assert!(private.contains(ip("::ffff:10.0.0.9")));
        assert!(!private.contains(ip("11.0.0.1")));
        assert!(!private.contains(ip("::a00:1")));
        assert!(subnet("0.0.0.0/0").contains(ip("203.0.113.9")));
        assert!(subnet("::/0").contains(ip("2001:db8::1")));
        assert!(!subnet("::/0").contains(ip("203.0.113.9")));
        assert!(subnet("2001:db8::/32").contains(ip("2001:db8:ffff::1")));
        assert_eq!(subnet("192.0.2.1"), subnet("192.0.2.1/32"));
        let [four, six] = Subnet::loopback();
        assert!(four.contains(ip("127.0.0.53")) && six.contains(ip("::1")));
    }

    #[test]
    fn other_texts_are_errors() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10/8",
            "::/129",
            "example.org/8",
            "1.2.3.4/",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }
}
