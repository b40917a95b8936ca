//! Where a server is.

use std::fmt;
use std::str::FromStr;

/// `HOST:PORT` of a server that is spoken to over plain TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress(String);

impl ServerAddress {
    /// As the standard library resolves it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        // Electrum's way to write it: a letter for the transport at the end.
        let (rest, letter) = match rest.rsplit_once(':') {
            Some((rest, letter @ ("t" | "s"))) => (rest, letter),
            _ => (rest, "t"),
        };
        match (scheme, letter) {
            ("tcp", "t") => {}
            ("ssl" | "tls", _) | ("tcp", "s") => {
                return Err("TLS is not supported yet; use the server's TCP port".into());
            }
            _ => return Err(format!("unknown transport `{scheme}`; expected tcp")),
        }
        let rest = rest.trim_end_matches('/');
        let good = rest.rsplit_once(':').is_some_and(|(host, port)| {
            let host_is_whole =
                !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
            !host.is_empty() && host_is_whole && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if good {
            Ok(Self(rest.to_owned()))
        } else {
            Err("expected HOST:PORT".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_several_ways() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let parsed = text.parse::<ServerAddress>();
            let parsed = parsed
                .as_ref()
                .map(ServerAddress::as_str)
                .map_err(String::as_str);
            assert_eq!(parsed, expected, "{text}");
        };
        check("localhost:50001", Ok("localhost:50001"));
        check("localhost:50001:t", Ok("localhost:50001"));
        check("tcp://[::1]:50001/", Ok("[::1]:50001"));
        check(
            "localhost:50002:s",
            Err("TLS is not supported yet; use the server's TCP port"),
        );
        check(
            "ssl://localhost:50002",
            Err("TLS is not supported yet; use the server's TCP port"),
        );
        check(
            "ws://localhost:50003",
            Err("unknown transport `ws`; expected tcp"),
        );
        check("localhost", Err("expected HOST:PORT"));
        check("::1:50001", Err("expected HOST:PORT"));
        check("localhost:70000", Err("expected HOST:PORT"));
    }
}
