//! `electrum-tools call`.

use electrum_protocol::jsonrpc::Params;
use electrum_protocol::{Method, ProtocolVersion, Request, VersionRange};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::connection::Server;
use crate::report::{Failure, Report, read_input};

pub(crate) fn run(
    server: &Server,
    method: &str,
    params: &[String],
    protocol: Option<ProtocolVersion>,
) -> Result<Report, Failure> {
    // What is wrong with the question is said before anybody is asked.
    let known = Method::from_name(method)
        .ok_or_else(|| Failure::Usage(format!("unknown method `{method}`; {}", methods())))?;
    let versions = protocol.map_or_else(|| versions_of(known), VersionRange::exactly);
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

    let mut connection = server.connect(versions)?;
    let negotiated = connection.client.version();
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
    let request = decode(known, &params, negotiated)?;
    let response = connection.ask(|client| client.send(request))?;
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

/// The versions to ask for: those of wallets, or where the method is in none of them, those that have it.
fn versions_of(method: Method) -> VersionRange {
    let having = |range: VersionRange| {
        let spoken = ProtocolVersion::SPOKEN.into_iter();
        let mut having =
            spoken.filter(|version| range.contains(*version) && method.exists_in(*version));
        let oldest = having.next()?;
        Some(VersionRange::new(
            oldest,
            having.next_back().unwrap_or(oldest),
        ))
    };
    having(VersionRange::WALLETS)
        .or_else(|| having(VersionRange::SPOKEN))
        .unwrap_or(VersionRange::WALLETS)
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
    fn a_method_brings_its_versions() {
        let check = |method, oldest, newest| {
            assert_eq!(versions_of(method), VersionRange::new(oldest, newest));
        };
        use ProtocolVersion as V;
        check(Method::ServerBanner, V::V1_4, V::V1_6);
        check(Method::RelayFee, V::V1_4, V::V1_4_2);
        check(Method::ScriptpubkeySubscribe, V::V1_7, V::V1_7);
        check(Method::AddressGetBalance, V::V0_10, V::V1_2);
        check(Method::BlockGetChunk, V::V0_10, V::V1_3);
    }

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
