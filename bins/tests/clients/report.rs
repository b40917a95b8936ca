//! One line for each client that was run, for the table at the end of `just clients`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes its line when it is dropped: whether the test got that far, or failed.
pub(crate) struct Report {
    client: String,
    version: String,
    transports: &'static str,
}

impl Report {
    pub(crate) fn of(client: &str, version: String, transports: &'static str) -> Self {
        Self {
            client: client.to_owned(),
            version,
            transports,
        }
    }

    /// A client that cargo has built: the version is in our lock file.
    pub(crate) fn of_crate(client: &str, transports: &'static str) -> Self {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        let package = format!("name = \"{client}\"\nversion = \"");
        let (_, rest) = lock.split_once(&package).expect("cargo has built it");
        let (version, _) = rest.split_once('"').unwrap();
        Self::of(client, version.to_owned(), transports)
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let result = match std::thread::panicking() {
            true => "FAILED",
            false => "passed",
        };
        let (client, version, transports) = (&self.client, &self.version, self.transports);
        println!("{client} {version} over {transports}: {result}");
        if let Some(path) = std::env::var_os("CLIENTS_REPORT") {
            let mut report = File::options()
                .append(true)
                .create(true)
                .open(path)
                .unwrap();
            writeln!(report, "{client}|{version}|{transports}|{result}").unwrap();
        }
    }
}
