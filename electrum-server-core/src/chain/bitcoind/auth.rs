//! Credentials for the node's RPC: a user and password, or the cookie that the node writes at each start.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::Network;

use crate::chain::SourceError;

/// How we introduce ourselves to the node. Secrets never show in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// The file that the node writes when it starts, and removes when it ends.
    Cookie(PathBuf),
    /// What `rpcuser` and `rpcpassword`, or `rpcauth`, of the node say.
    UserPassword {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(path) => f.debug_tuple("Cookie").field(path).finish(),
            Self::UserPassword { .. } => f.write_str("UserPassword(..)"),
        }
    }
}

impl Auth {
    /// Takes the text `user:password`; the password may contain colons. `None` when there is no colon.
    pub fn from_user_password(text: &str) -> Option<Self> {
        let (user, password) = text.split_once(':')?;
        Some(Self::UserPassword {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// Returns the value of the HTTP header `Authorization`. A cookie is read from its file each time.
    pub(super) fn header(&self) -> Result<String, SourceError> {
        let credentials = match self {
            Self::UserPassword { user, password } => format!("{user}:{password}"),
            Self::Cookie(path) => read_cookie(path)?,
        };
        Ok(format!("Basic {}", BASE64.encode(credentials)))
    }
}

/// Returns the place of the cookie file below a node's data directory.
pub fn cookie_path(daemon_dir: &Path, network: Network) -> PathBuf {
    network_dir(daemon_dir, network).join(".cookie")
}

/// Returns where a node keeps the files of a network, below its data directory.
pub fn network_dir(daemon_dir: &Path, network: Network) -> PathBuf {
    match network {
        Network::Bitcoin => daemon_dir.to_owned(),
        Network::Testnet => daemon_dir.join("testnet3"),
        Network::Testnet4 => daemon_dir.join("testnet4"),
        Network::Signet => daemon_dir.join("signet"),
        Network::Regtest => daemon_dir.join("regtest"),
    }
}

fn read_cookie(path: &Path) -> Result<String, SourceError> {
    match std::fs::read_to_string(path) {
        Ok(cookie) => Ok(cookie.trim_end().to_owned()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(SourceError::permanent(format_args!(
                "may not read the node's cookie {}: {error}; run as the node's user, \
                 start the node with -rpccookieperms=group, or give a user and password",
                path.display()
            )))
        }
        // The node is not running, or has not come so far yet.
        Err(error) => Err(SourceError::transient(format_args!(
            "cannot read the node's cookie {}: {error}",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_secret() {
        let auth = Auth::from_user_password("alice:se:cret").unwrap();
        assert_eq!(format!("{auth:?}"), "UserPassword(..)");
        // "alice:se:cret", computed with base64(1).
        assert_eq!(auth.header().unwrap(), "Basic YWxpY2U6c2U6Y3JldA==");
        assert_eq!(Auth::from_user_password("alice"), None);
    }

    #[test]
    fn the_cookie_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = cookie_path(folder.path(), Network::Bitcoin);
        let auth = Auth::Cookie(path.clone());
        assert!(auth.header().unwrap_err().is_transient());
        std::fs::write(&path, "__cookie__:aa\n").unwrap();
        assert_eq!(auth.header().unwrap(), "Basic X19jb29raWVfXzphYQ==");
        std::fs::write(&path, "__cookie__:bb").unwrap();
        assert_eq!(auth.header().unwrap(), "Basic X19jb29raWVfXzpiYg==");
    }

    #[test]
    fn each_network_has_its_folder() {
        let folder = |network| {
            cookie_path(Path::new("/btc"), network)
                .display()
                .to_string()
        };
        assert_eq!(folder(Network::Bitcoin), "/btc/.cookie");
        assert_eq!(folder(Network::Testnet), "/btc/testnet3/.cookie");
        assert_eq!(folder(Network::Testnet4), "/btc/testnet4/.cookie");
        assert_eq!(folder(Network::Signet), "/btc/signet/.cookie");
        assert_eq!(folder(Network::Regtest), "/btc/regtest/.cookie");
    }
}
