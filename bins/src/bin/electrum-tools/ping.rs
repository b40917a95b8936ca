//! `electrum-tools ping`.

use std::time::{Duration, Instant};

use electrum_protocol::VersionRange;
use electrum_protocol::method::server::Ping;
use serde_json::json;

use crate::cli::Server;
use crate::connection::Connection;
use crate::report::{Failure, Report};

pub(crate) fn run(server: &Server) -> Result<Report, Failure> {
    let start = Instant::now();
    let mut connection = Connection::open(&server.address, server.timeout())?;
    let introduction = connection.introduce(VersionRange::WALLETS)?;
    let connected = start.elapsed();
    let start = Instant::now();
    connection.ask(Ping::default().into())?;
    let answered = start.elapsed();
    let (software, version) = (introduction.software, introduction.protocol_version);
    Ok(Report {
        human: format!(
            "{} is {}, protocol {version}; connected in {:.1} ms, answers in {:.1} ms",
            server.address,
            software.escape_debug(),
            milliseconds(connected),
            milliseconds(answered),
        ),
        json: json!({
            "server": server.address.as_str(),
            "software": software,
            "protocol": version.to_string(),
            "connect_ms": milliseconds(connected),
            "ping_ms": milliseconds(answered),
        }),
    })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
