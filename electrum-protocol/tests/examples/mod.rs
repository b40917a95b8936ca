//! An example is read, written, and read again.

use electrum_protocol::jsonrpc::Params;
use electrum_protocol::{Method, ProtocolVersion, RawJson, Request, Response};
use serde_json::Value;

/// Reads the params by position and by name, and writes them by position.
#[track_caller]
pub(crate) fn check_params(
    versions: &[ProtocolVersion],
    method: &str,
    positional: Value,
    named: Value,
) {
    let method = Method::from_name(method).expect("a method of the table");
    for version in versions {
        assert!(method.exists_in(*version));
        let read = |params: &Value| {
            let text = params.to_string();
            Request::decode(method, Params::parse(&text).unwrap(), *version).unwrap()
        };
        let request = read(&positional);
        assert_eq!(request.method(), method);
        assert_eq!(read(&named), request, "by name");
        let mut written = Vec::new();
        request.encode(*version, &mut written);
        assert_eq!(
            serde_json::from_slice::<Value>(&written).unwrap(),
            positional
        );
    }
}

/// Reads the result, writes it, and reads it again.
#[track_caller]
pub(crate) fn check_result(versions: &[ProtocolVersion], method: &str, result: Value) -> Response {
    let method = Method::from_name(method).expect("a method of the table");
    let json = RawJson::parse(&serde_json::to_string_pretty(&result).unwrap()).unwrap();
    let response = Response::decode(method, &json).unwrap();
    assert_eq!(response.method(), method);
    for version in versions {
        let mut written = Vec::new();
        response.encode(*version, &mut written);
        assert!(!written.contains(&b'\n'));
        let written = String::from_utf8(written).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&written).unwrap(),
            result,
            "{version}"
        );
        let again = Response::decode(method, &RawJson::parse(&written).unwrap()).unwrap();
        assert_eq!(again, response);
    }
    response
}
