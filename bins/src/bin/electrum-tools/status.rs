//! `electrum-tools status`.

use electrum_protocol::status::{mempool_order, status};
use electrum_protocol::{HistoryEntry, Method, RawJson, Response};
use serde_json::json;

use crate::report::{Failure, Report, read_input};

pub(crate) fn run(file: &str, explain: bool) -> Result<Report, Failure> {
    of_history(&read_input(file)?, explain)
}

fn of_history(text: &str, explain: bool) -> Result<Report, Failure> {
    let mut history = parse(text)?;
    // Servers before protocol 1.6 list the mempool in any order, but its status has only this one.
    history.sort_by(mempool_order);
    let status = status(&history).map(|status| status.to_string());
    let hashed: String = history
        .iter()
        .map(|entry| format!("{}:{}:", entry.txid, entry.confirmation.wire_height()))
        .collect();
    let mut human = status
        .clone()
        .unwrap_or_else(|| "none: the history is empty".into());
    if explain {
        human = format!("SHA-256 of\n{hashed}\nis\n{human}");
    }
    Ok(Report {
        human,
        json: json!({"status": status, "hashed": hashed}),
    })
}

fn parse(text: &str) -> Result<Vec<HistoryEntry>, Failure> {
    let json = RawJson::parse(text)
        .map_err(|error| Failure::refused(format!("the history is not JSON: {error}")))?;
    match Response::decode(Method::ScripthashGetHistory, &json) {
        Ok(Response::ScripthashGetHistory(history)) => Ok(history),
        Ok(_) => Err(Failure::refused("not a history")),
        Err(error) => Err(Failure::refused(format!(
            "not the result of blockchain.scripthash.get_history: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000001";
    const SECOND: &str = "0100000000000000000000000000000000000000000000000000000000000000";

    #[test]
    fn the_mempool_is_ordered_before_hashing() {
        let history = format!(
            r#"[{{"tx_hash": "{FIRST}", "height": 7}}, {{"tx_hash": "{SECOND}", "height": -1, "fee": 1}},
               {{"tx_hash": "{FIRST}", "height": 0, "fee": 1}}]"#
        );
        let report = of_history(&history, true).unwrap();
        let hashed = format!("{FIRST}:7:{FIRST}:0:{SECOND}:-1:");
        assert_eq!(report.json["hashed"], json!(hashed));
        let expected =
            <bitcoin::hashes::sha256::Hash as bitcoin::hashes::Hash>::hash(hashed.as_bytes());
        assert_eq!(report.json["status"], json!(expected.to_string()));
        assert!(report.human.contains(&hashed));
    }

    #[test]
    fn an_empty_history_has_no_status() {
        assert_eq!(of_history("[]", false).unwrap().json["status"], json!(null));
        assert!(of_history("{}", false).is_err());
        assert!(of_history("no", false).is_err());
    }
}
