//! Which web pages may connect.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The origins of web pages whose scripts may open a WebSocket.
///
/// A browser lets any page connect to any address that its user can reach, 127.0.0.1 included, and tells the server whose
/// page it is in the header `Origin` ([RFC 6455, section 10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)).
/// Programs that are no browsers send none, and are always let in. The default lets in nobody else.
///
/// The page is named by its origin, not by the address that it connects to, so a page that has its own name point to
/// this machine (DNS rebinding) is refused as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    any: bool,
    origins: BTreeSet<String>,
}

/// Text that is not the origin of a web page.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{text}` is not the origin of a web page: expected for example https://wallet.example.org, `null` or `*`"
)]
#[non_exhaustive]
pub struct ParseOriginError {
    /// What was found.
    pub text: String,
}

impl AllowedOrigins {
    /// Lets in the pages of one more origin: `https://wallet.example.org`, `http://localhost:5173`, `null` for pages
    /// without an origin such as local files, or `*` for all pages of all sites.
    ///
    /// # Errors
    ///
    /// When the text is none of these.
    pub fn allow(&mut self, text: &str) -> Result<(), ParseOriginError> {
        if text == "*" {
            self.any = true;
            return Ok(());
        }
        let Origin(origin) = text.parse()?;
        self.origins.insert(origin);
        Ok(())
    }

    /// Whether all pages of all sites are let in.
    pub fn allows_all(&self) -> bool {
        self.any
    }

    /// Whether the page that a header `Origin` names is let in.
    pub(super) fn allows(&self, header: &[u8]) -> bool {
        self.any || std::str::from_utf8(header).is_ok_and(|text| self.origins.contains(text))
    }
}

/// An origin as browsers write it: in lower case, without the port that the scheme implies.
struct Origin(String);

impl FromStr for Origin {
    type Err = ParseOriginError;

    fn from_str(text: &str) -> Result<Self, ParseOriginError> {
        if text == "null" {
            return Ok(Self(text.to_owned()));
        }
        let wrong = || ParseOriginError {
            text: text.to_owned(),
        };
        let lower = text.to_ascii_lowercase();
        let (scheme, authority) = lower.split_once("://").ok_or_else(wrong)?;
        let is_word = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphabetic())
                && text
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
        };
        // A host never has these; whoever copies an address from a browser's bar often has the first.
        let is_host = |host: &str| {
            !host.is_empty()
                && host
                    .chars()
                    .all(|char| char.is_ascii_graphic() && !"/?#@\\*".contains(char))
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            // Of an IPv6 address the last colon may be its own.
            Some((host, port)) if !port.ends_with(']') => {
                let port: u16 = port.parse().map_err(|_| wrong())?;
                (host, Some(port))
            }
            _ => (authority, None),
        };
        if !is_word(scheme) || !is_host(host) {
            return Err(wrong());
        }
        let implied = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Ok(Self(match port.filter(|port| Some(*port) != implied) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }))
    }
}

impl fmt::Display for AllowedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all: Vec<&str> = self.origins.iter().map(String::as_str).collect();
        if self.any {
            all.push("*");
        }
        f.write_str(&all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(texts: &[&str]) -> AllowedOrigins {
        let mut origins = AllowedOrigins::default();
        for text in texts {
            origins.allow(text).unwrap();
        }
        origins
    }

    #[test]
    fn no_page_is_let_in_unless_it_is_named() {
        let none = origins(&[]);
        assert!(!none.allows(b"https://example.org"));
        assert!(!none.allows(b"null"));
        assert!(!none.allows(b""));
        let some = origins(&[
            "HTTPS://Wallet.Example.org:443/",
            "http://localhost:5173",
            "http://[::1]",
        ]);
        for let_in in [
            "https://wallet.example.org",
            "http://localhost:5173",
            "http://[::1]",
        ] {
            assert!(some.allows(let_in.as_bytes()), "{let_in}");
        }
        for refused in [
            "http://wallet.example.org",
            "https://wallet.example.org.evil.example",
            "https://evil.example/https://wallet.example.org",
            "https://wallet.example.org:8443",
            "http://localhost",
            "null",
            "*",
        ] {
            assert!(!some.allows(refused.as_bytes()), "{refused}");
        }
        assert!(origins(&["null"]).allows(b"null"));
        assert!(origins(&["*"]).allows(b"https://example.org"));
        assert!(origins(&["chrome-extension://abcdef"]).allows(b"chrome-extension://abcdef"));
    }

    #[test]
    fn what_is_no_origin_is_named() {
        for text in [
            "",
            "example.org",
            "https://",
            "https://*.example.org",
            "https://example.org/wallet",
            "https://me@example.org",
            "https://example.org:port",
            "://example.org",
        ] {
            let error = AllowedOrigins::default().allow(text).unwrap_err();
            assert_eq!(error.text, text);
        }
    }
}
