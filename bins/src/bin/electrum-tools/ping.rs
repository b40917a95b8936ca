//! `electrum-tools ping`.

use std::time::{Duration, Instant};

use electrum_protocol::VersionRange;
use electrum_protocol::method::server::Ping;
use serde_json::json;

use crate::connection::Server;
use crate::report::{Failure, Report};

pub(crate) fn run(server: &Server) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut connection = server.connect(VersionRange::WALLETS)?;
    let connected = start.elapsed();
    let start = Instant::now();
    connection.ask(|client| client.request(Ping::default()))?;
    let answered = start.elapsed();
    let (software, version) = (connection.client.software(), connection.client.version());
    let certificate = match connection.certificate {
        None => String::new(),
        Some((fingerprint, true)) => {
            format!("\nits certificate is good for everybody; the SHA-256 is {fingerprint}")
        }
        Some((fingerprint, false)) => {
            format!("\nno authority vouches for its certificate; the SHA-256 is {fingerprint}")
        }
    };
    let json = json!({
        "server": server.address.to_string(),
        "software": software,
        "protocol": version.to_string(),
        "connect_ms": milliseconds(connected),
        "ping_ms": milliseconds(answered),
        "certificate": connection.certificate.map(|(fingerprint, vouched_for)| {
            json!({"sha256": fingerprint.to_string(), "vouched_for": vouched_for})
        }),
    });
    Ok(Report {
        human: format!(
            "{} is {}, protocol {version}; connected in {:.1} ms, answers in {:.1} ms{certificate}",
            server.address,
            software.escape_debug(),
            milliseconds(connected),
            milliseconds(answered),
        ),
        json,
    })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
