//! Answers compared with what a transcript expects.

use std::collections::BTreeMap;

use electrum_protocol::ProtocolVersion;
use serde_json::{Map, Value};

use super::transcript::Level;

/// What is known by name while a check runs: facts of the chain, and what earlier answers said.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(BTreeMap<String, Value>);

/// A name that nothing is known by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

impl Names {
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Looks up `name`, or with dots a part of it; `null` when there is no such part.
    pub(super) fn get(&self, path: &str) -> Result<Value, Unknown> {
        let mut parts = path.split('.');
        let name = parts.next().unwrap_or_default();
        let value = self.0.get(name).ok_or_else(|| Unknown(name.to_owned()))?;
        let mut value = value.clone();
        for part in parts {
            let found = match part.parse::<usize>() {
                Ok(index) => value.get_mut(index),
                Err(_) => value.get_mut(part),
            };
            value = found.map(Value::take).unwrap_or_default();
        }
        Ok(value)
    }

    /// Puts values in the place of names: texts without their quotation marks, the rest in JSON.
    pub(super) fn fill_in(&self, line: &str) -> Result<String, Unknown> {
        let mut filled = String::with_capacity(line.len());
        let mut pieces = line.split('$');
        filled.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let end = piece.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c)));
            let (path, rest) = piece.split_at(end.unwrap_or(piece.len()));
            match self.get(path)? {
                Value::String(text) => filled.push_str(&text),
                other => filled.push_str(&other.to_string()),
            }
            filled.push_str(rest);
        }
        Ok(filled)
    }
}

/// A part of a value; `null` when there is no such part.
pub(super) fn part(value: &Value, index: impl serde_json::value::Index) -> &Value {
    value.get(index).unwrap_or(&Value::Null)
}

/// Something that is not as expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) level: Level,
    /// Where in the answer, and what was expected there.
    pub(super) expected: String,
}

/// Compares values with patterns, and remembers what the patterns give names to.
pub(super) struct Matcher<'a> {
    pub(super) names: &'a mut Names,
    pub(super) version: ProtocolVersion,
    pub(super) level: Level,
    pub(super) mismatches: Vec<Mismatch>,
    /// The levels besides `level` at which something was compared.
    pub(super) looked_at: Vec<Level>,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(names: &'a mut Names, version: ProtocolVersion, level: Level) -> Self {
        Self {
            names,
            version,
            level,
            mismatches: Vec::new(),
            looked_at: Vec::new(),
        }
    }

    /// Compares a whole line: a reply, a notification or a batch of replies.
    pub(super) fn line(&mut self, pattern: &Value, found: &Value) -> Result<(), Unknown> {
        match (pattern, found) {
            (Value::Array(patterns), Value::Array(replies)) => {
                if patterns.len() != replies.len() {
                    self.miss("", &format!("{} replies", patterns.len()));
                    return Ok(());
                }
                for (index, pattern) in patterns.iter().enumerate() {
                    // In any order, as the ids tell.
                    let same_id = |reply: &&Value| reply.get("id") == pattern.get("id");
                    let reply = replies.iter().find(same_id).or_else(|| replies.get(index));
                    let reply = reply.unwrap_or(&Value::Null);
                    self.message(pattern, reply, &format!("[{index}]"))?;
                }
                Ok(())
            }
            _ => self.message(pattern, found, ""),
        }
    }

    fn message(&mut self, pattern: &Value, found: &Value, path: &str) -> Result<(), Unknown> {
        let mut found = found.clone();
        if let (Some(pattern), Some(reply)) = (pattern.as_object(), found.as_object_mut()) {
            // Only where the transcript asks for it: old servers leave it out.
            if !pattern.contains_key("jsonrpc") {
                reply.remove("jsonrpc");
            }
            for (wanted, other) in [("result", "error"), ("error", "result")] {
                if !pattern.contains_key(wanted) {
                    continue;
                }
                if !reply.contains_key(wanted)
                    || (wanted == "error" && reply.get(wanted).is_some_and(Value::is_null))
                    || (other == "error" && reply.get(other).is_some_and(|e| !e.is_null()))
                {
                    self.miss(path, &format!("a reply with `{wanted}`"));
                    return Ok(());
                }
                // Clients fail on an error that is null, except those of JSON-RPC 1.0, which has both.
                let has_both = pattern.contains_key(&format!("{other}?"));
                if !has_both && reply.remove(other).is_some() {
                    self.mismatches.push(Mismatch {
                        level: self.level.max(Level::Should),
                        expected: format!("{path} without `{other}`").trim().to_owned(),
                    });
                }
            }
        }
        self.value(pattern, &found, path)
    }

    fn value(&mut self, pattern: &Value, found: &Value, path: &str) -> Result<(), Unknown> {
        match (pattern, found) {
            (Value::String(text), _) => self.text(text, found, path),
            (Value::Object(fields), Value::Object(found)) => self.object(fields, found, path),
            (Value::Array(patterns), Value::Array(found)) => self.array(patterns, found, path),
            _ if pattern == found || same_number(pattern, found) => Ok(()),
            _ => {
                self.miss(path, &pattern.to_string());
                Ok(())
            }
        }
    }

    fn object(
        &mut self,
        fields: &Map<String, Value>,
        found: &Map<String, Value>,
        path: &str,
    ) -> Result<(), Unknown> {
        for (key, pattern) in fields.iter().filter(|(key, _)| *key != "...") {
            let name = key.strip_suffix('?').unwrap_or(key);
            let inner = format!("{path}.{name}");
            match found.get(name) {
                Some(value) => self.value(pattern, value, &inner)?,
                None if name != key => {}
                None => self.miss(&inner, "to be there"),
            }
        }
        if !fields.contains_key("...") {
            let known =
                |key: &String| fields.contains_key(key) || fields.contains_key(&format!("{key}?"));
            for key in found.keys().filter(|key| !known(key)) {
                // Clients tell objects apart by their keys, and some refuse one too many.
                self.mismatches.push(Mismatch {
                    level: self.level.max(Level::Should),
                    expected: format!("{path} without `{key}`").trim().to_owned(),
                });
            }
        }
        Ok(())
    }

    fn array(&mut self, patterns: &[Value], found: &[Value], path: &str) -> Result<(), Unknown> {
        let least = match patterns.first().and_then(Value::as_str) {
            Some("<each>") => Some(0),
            Some("<each:1>") => Some(1),
            _ => None,
        };
        if let (Some(least), [_, pattern]) = (least, patterns) {
            if found.len() < least {
                self.miss(path, "at least one element");
            }
            for (index, value) in found.iter().enumerate() {
                self.value(pattern, value, &format!("{path}[{index}]"))?;
            }
            return Ok(());
        }
        if patterns.len() != found.len() {
            self.miss(path, &format!("{} elements", patterns.len()));
            return Ok(());
        }
        for (index, (pattern, value)) in patterns.iter().zip(found).enumerate() {
            self.value(pattern, value, &format!("{path}[{index}]"))?;
        }
        Ok(())
    }

    /// Compares with a text of the transcript: `$name=<shape>`, `$name`, `<shape>` or the text itself.
    fn text(&mut self, text: &str, found: &Value, path: &str) -> Result<(), Unknown> {
        if let Some((name, shape)) = text.strip_prefix('$').and_then(|rest| rest.split_once('=')) {
            self.text(shape, found, path)?;
            self.names.set(name, found.clone());
            return Ok(());
        }
        if let Some(name) = text.strip_prefix('$') {
            let expected = self.names.get(name)?;
            if expected != *found && !same_number(&expected, found) {
                self.miss(path, &expected.to_string());
            }
            return Ok(());
        }
        let Some(shapes) = text
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
        else {
            if found.as_str() != Some(text) {
                self.miss(path, &format!("\"{text}\""));
            }
            return Ok(());
        };
        if let Some(codes) = shapes.strip_prefix("error") {
            self.error(codes.trim_start_matches(':'), found, path);
        } else if !shapes.split('|').any(|shape| has_shape(shape, found)) {
            self.miss(path, text);
        }
        Ok(())
    }

    /// An error is an error; its code is no part of the specification, but clients know the usual ones.
    fn error(&mut self, codes: &str, found: &Value, path: &str) {
        if self.version < ProtocolVersion::V1_0 && found.is_string() {
            return;
        }
        let code = found.get("code").and_then(Value::as_i64);
        let message = found.get("message").and_then(Value::as_str);
        if code.is_none() || message.is_none_or(str::is_empty) {
            return self.miss(path, "an error object with a code and a message");
        }
        if codes.is_empty() {
            return;
        }
        let level = self.level.max(Level::Should);
        self.looked_at.push(level);
        let is_usual = |usual: &str| usual.parse().ok() == code;
        if !codes.split(',').any(is_usual) {
            self.mismatches.push(Mismatch {
                level,
                expected: format!("{path}.code {}", codes.replace(',', " or ")),
            });
        }
    }

    fn miss(&mut self, path: &str, expected: &str) {
        self.mismatches.push(Mismatch {
            level: self.level,
            expected: format!("{path} {expected}").trim().to_owned(),
        });
    }
}

/// 1 and 1.0 are the same number.
fn same_number(a: &Value, b: &Value) -> bool {
    a.is_number() && b.is_number() && a.as_f64() == b.as_f64()
}

fn has_shape(shape: &str, value: &Value) -> bool {
    let text = value.as_str();
    let is_hex = |text: &str| {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        text.bytes().all(digit)
    };
    match shape {
        "any" => true,
        "null" => value.is_null(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        "uint" => value.is_u64(),
        "number" => value.is_number(),
        "string" => text.is_some(),
        "text" => text.is_some_and(|text| !text.is_empty()),
        "object" => value.is_object(),
        "hex" => text.is_some_and(|text| !text.is_empty() && is_hex(text)),
        "-1" => value.as_f64() == Some(-1.0),
        "version" => text.is_some_and(|text| text.parse::<ProtocolVersion>().is_ok()),
        _ => match shape.strip_prefix("hex:").map(str::parse::<usize>) {
            Some(Ok(digits)) => text.is_some_and(|text| text.len() == digits && is_hex(text)),
            _ => false,
        },
    }
}

/// Whether a pattern says something: what is misspelt matches nothing.
#[cfg(test)]
pub(super) fn is_understood(text: &str) -> bool {
    let shapes = text
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'));
    let known = [
        "any", "null", "bool", "int", "uint", "number", "string", "text", "object", "hex", "-1",
        "version", "each", "each:1", "close",
    ];
    shapes.is_none_or(|shapes| {
        shapes.strip_prefix("error").is_some_and(|codes| {
            codes.is_empty()
                || codes
                    .strip_prefix(':')
                    .is_some_and(|codes| codes.split(',').all(|code| code.parse::<i64>().is_ok()))
        }) || shapes.split('|').all(|shape| {
            known.contains(&shape)
                || shape
                    .strip_prefix("hex:")
                    .is_some_and(|digits| digits.parse::<usize>().is_ok())
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compare(pattern: Value, found: Value) -> Vec<String> {
        let mut names = Names::default();
        names.set("height", 7);
        names.set("proof", json!({"pos": 1, "branch": ["aa"]}));
        let mut matcher = Matcher::new(&mut names, ProtocolVersion::V1_4, Level::Must);
        matcher.line(&pattern, &found).unwrap();
        let words = |miss: Mismatch| format!("{}: {}", miss.level, miss.expected);
        matcher.mismatches.into_iter().map(words).collect()
    }

    #[test]
    fn shapes() {
        let fits = |shape: &str, value: Value| compare(json!(shape), value).is_empty();
        assert!(fits("<uint>", json!(0)) && !fits("<uint>", json!(-1)));
        assert!(fits("<int>", json!(-1)) && !fits("<int>", json!(1.5)));
        assert!(fits("<hex:4>", json!("00ff")) && !fits("<hex:4>", json!("00FF")));
        assert!(!fits("<hex:4>", json!("00f")) && !fits("<hex>", json!("")));
        assert!(fits("<hex:4|null>", json!(null)) && !fits("<hex:4|null>", json!(0)));
        assert!(fits("$height", json!(7)) && !fits("$height", json!(8)));
        assert!(fits("$proof.pos", json!(1)) && !fits("$proof.pos", json!(2)));
        assert!(fits("plain", json!("plain")) && !fits("plain", json!("other")));
        assert!(!fits("<misspelt>", json!("x")) && !is_understood("<misspelt>"));
        for shape in ["<error>", "<error:-32602,1>", "<hex:64|null>", "text"] {
            assert!(is_understood(shape), "{shape}");
        }
    }

    #[test]
    fn objects_and_lists() {
        let pattern = json!({"a": 1, "b?": "<int>"});
        assert_eq!(
            compare(pattern.clone(), json!({"a": 1.0})),
            Vec::<String>::new()
        );
        assert_eq!(
            compare(pattern.clone(), json!({"b": "x"})),
            ["must: .a to be there", "must: .b <int>"]
        );
        assert_eq!(
            compare(pattern, json!({"a": 1, "c": 2})),
            ["should: without `c`"]
        );
        assert!(compare(json!({"...": "<any>"}), json!({"c": 2})).is_empty());
        let each = json!({"list": ["<each:1>", "<int>"]});
        assert!(compare(each.clone(), json!({"list": [1, 2]})).is_empty());
        assert_eq!(
            compare(each.clone(), json!({"list": [1, "x"]})),
            ["must: .list[1] <int>"]
        );
        assert_eq!(
            compare(each, json!({"list": []})),
            ["must: .list at least one element"]
        );
    }

    #[test]
    fn envelopes() {
        let result = json!({"id": 1, "result": null});
        assert!(
            compare(
                result.clone(),
                json!({"jsonrpc": "2.0", "id": 1, "result": null})
            )
            .is_empty()
        );
        assert_eq!(
            compare(
                result.clone(),
                json!({"id": 1, "result": null, "error": null})
            ),
            ["should: without `error`"]
        );
        let with_both = json!({"id": 1, "result": null, "error?": null});
        assert!(compare(with_both.clone(), json!({"id": 1, "result": null})).is_empty());
        let both = json!({"id": 1, "result": null, "error": null});
        assert!(compare(with_both, both).is_empty());
        assert_eq!(
            compare(result, json!({"id": 1, "error": {}})),
            ["must: a reply with `result`"]
        );
        let error = json!({"id": 1, "error": "<error:-32602,1>"});
        let said = |code: Value| json!({"id": 1, "error": {"code": code, "message": "no"}});
        assert!(compare(error.clone(), said(json!(1))).is_empty());
        assert_eq!(
            compare(error.clone(), said(json!(2))),
            ["should: .error.code -32602 or 1"]
        );
        assert_eq!(
            compare(error, json!({"id": 1, "error": "no"})),
            ["must: .error an error object with a code and a message"]
        );
        let batch = json!([{"id": 1, "result": 1}, {"id": 2, "result": 2}]);
        assert!(
            compare(
                batch.clone(),
                json!([{"id": 2, "result": 2}, {"id": 1, "result": 1}])
            )
            .is_empty()
        );
        assert_eq!(
            compare(batch, json!([{"id": 2, "result": 2}])),
            ["must: 2 replies"]
        );
    }

    #[test]
    fn names_are_filled_in_and_remembered() {
        let mut names = Names::default();
        names.set("a", "text");
        names.set("b", json!({"c": [1, 2]}));
        assert_eq!(
            names.fill_in("[\"$a\",$b.c.1,$b.c]"),
            Ok("[\"text\",2,[1,2]]".into())
        );
        assert_eq!(names.fill_in("$d"), Err(Unknown("d".into())));
        let mut matcher = Matcher::new(&mut names, ProtocolVersion::V1_4, Level::Must);
        matcher
            .line(&json!({"x": "$tip=<int>"}), &json!({"x": 9}))
            .unwrap();
        assert_eq!(names.get("tip"), Ok(json!(9)));
    }
}
