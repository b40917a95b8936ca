//! `electrum-tools call`.

use electrum_protocol::jsonrpc::Params;
use electrum_protocol::{Method, ProtocolVersion, Request, VersionRange};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cli::Server;
use crate::connection::Connection;
use crate::report::{Failure, Report, read_input};

pub(crate) fn run(
    server: &Server,
    method: &str,
    params: &[String],
    protocol: Option<ProtocolVersion>,
) -> Result<Report, Failure> {
    // What is wrong with the question is said before anybody is asked.
    let versions = protocol.map_or(VersionRange::WALLETS, VersionRange::exactly);
    let known = Method::from_name(method)
        .ok_or_else(|| Failure::Usage(format!("unknown method `{method}`; {}", methods())))?;
    let params = match params {
        [dash] if dash == "-" => read_input("-")?,
        params => format!(
            "[{}]",
            params
                .iter()
                .map(|text| as_json(text))
                .collect::<Vec<_>>()
                .join(",")
        ),
    };
    decode(known, &params, versions.max)?;

    let mut connection = Connection::open(&server.address, server.timeout())?;
    let negotiated = connection.introduce(versions)?.protocol_version;
    if !known.exists_in(negotiated) {
        let until = known
            .removed_in()
            .map_or_else(String::new, |end| format!(" and before {end}"));
        return Err(Failure::refused(format!(
            "{method} exists from protocol {} on{until}, but {} speaks {negotiated}",
            known.added_in(),
            server.address
        )));
    }
    let response = connection.ask(decode(known, &params, negotiated)?)?;
    let mut text = Vec::new();
    response.encode(negotiated, &mut text);
    let result: Value = serde_json::from_slice(&text)
        .map_err(|error| Failure::refused(format!("the result cannot be printed: {error}")))?;
    let human = match &result {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    };
    Ok(Report {
        human,
        json: json!({"protocol": negotiated.to_string(), "result": result}),
    })
}

fn decode(method: Method, params: &str, version: ProtocolVersion) -> Result<Request, Failure> {
    let usage = |error: String| Failure::Usage(format!("parameters of {method}: {error}"));
    let params = Params::parse(params).map_err(|error| usage(error.to_string()))?;
    Request::decode(method, params, version).map_err(|error| usage(error.to_string()))
}

/// The text itself when it is JSON, else the text as a JSON string. A script hash of digits only would
/// be a number, but no number has 64 digits.
fn as_json(text: &str) -> String {
    let is_number = |text: &str| text.len() < 32 || !text.bytes().all(|byte| byte.is_ascii_digit());
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) if is_number(text) => text.to_owned(),
        _ => Value::from(text).to_string(),
    }
}

fn methods() -> String {
    let names: Vec<&str> = Method::ALL.iter().map(|method| method.name()).collect();
    format!("known are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_json_or_a_text() {
        let check = |text: &str, expected: &str| assert_eq!(as_json(text), expected);
        check("5", "5");
        check("-1", "-1");
        check("true", "true");
        check("[1]", "[1]");
        check("\"a\"", "\"a\"");
        check("8b01df", "\"8b01df\"");
        check(&"1".repeat(64), &format!("\"{}\"", "1".repeat(64)));
        check("a\"b", "\"a\\\"b\"");
    }
}
