//! What a server answered, and whether a difference is one of those that the documentation explains.

use std::fmt;

use serde_json::Value;

/// The answer to one request line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// A reply with a result.
    Result(Value),
    /// A reply with an error.
    Error { code: i64, message: String },
    /// A batch's replies, ordered by id: servers may answer the parts in any order.
    Batch(Vec<Self>),
    /// The connection was closed instead.
    Closed,
    /// Nothing came until the deadline.
    Silence,
}

impl Outcome {
    /// Reads one reply.
    pub(crate) fn from_reply(reply: &Value) -> Self {
        match reply {
            Value::Array(parts) => {
                let mut parts: Vec<&Value> = parts.iter().collect();
                parts.sort_by_key(|part| part.get("id").map(Value::to_string));
                Self::Batch(parts.into_iter().map(Self::from_reply).collect())
            }
            _ => match reply.get("error").filter(|error| !error.is_null()) {
                Some(error) => Self::Error {
                    code: error
                        .get("code")
                        .and_then(Value::as_i64)
                        .unwrap_or_default(),
                    message: error
                        .get("message")
                        .and_then(Value::as_str)
                        .map_or_else(|| error.to_string(), str::to_owned),
                },
                None => Self::Result(reply.get("result").cloned().unwrap_or(Value::Null)),
            },
        }
    }

    /// The word for it in the table of differences.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Result(_) => "result".to_owned(),
            Self::Error { code, .. } => format!("error {code}"),
            Self::Batch(parts) => parts.iter().map(Self::kind).collect::<Vec<_>>().join(" + "),
            Self::Closed => "closed".to_owned(),
            Self::Silence => "silence".to_owned(),
        }
    }

    /// Puts a list whose order the protocol leaves open into one order.
    pub(crate) fn sorted(self) -> Self {
        match self {
            Self::Result(Value::Array(mut items)) => {
                items.sort_by_key(Value::to_string);
                Self::Result(Value::Array(items))
            }
            other => other,
        }
    }

    /// Whether two servers said the same: results equal as JSON, errors equal by code (their texts are each
    /// server's own).
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Result(ours), Self::Result(theirs)) => same(ours, theirs),
            (Self::Error { code: ours, .. }, Self::Error { code: theirs, .. }) => ours == theirs,
            (Self::Batch(ours), Self::Batch(theirs)) => {
                ours.len() == theirs.len()
                    && ours
                        .iter()
                        .zip(theirs)
                        .all(|(ours, theirs)| ours.agrees_with(theirs))
            }
            (ours, theirs) => ours == theirs,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Result(value) => value.to_string(),
            Self::Error { code, message } => format!("error {code}: {message}"),
            Self::Batch(parts) => parts
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; "),
            Self::Closed => "connection closed".to_owned(),
            Self::Silence => "no reply".to_owned(),
        };
        match text.char_indices().nth(200) {
            Some((end, _)) => write!(f, "{}…", text.get(..end).unwrap_or_default()),
            None => f.write_str(&text),
        }
    }
}

/// Equal JSON, where `1` and `1.0` are the same number.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .all(|(key, value)| theirs.get(key).is_some_and(|other| same(value, other)))
        }
        (ours, theirs) => ours == theirs,
    }
}

/// A row of the table in `docs/differences.md`.
#[derive(Debug)]
pub(crate) struct Explained {
    server: String,
    request: String,
    ours: String,
    theirs: String,
    /// How many differences of the run it explained.
    pub used: usize,
}

impl Explained {
    /// Reads the table: rows of `| server | request | ours | theirs | reason |`; `*` stands for anything in a
    /// cell, or for the rest of it.
    pub(crate) fn read(document: &str) -> Vec<Self> {
        document
            .lines()
            .filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'))
            .map(|row| {
                row.split('|')
                    .map(|cell| cell.trim().trim_matches('`'))
                    .collect::<Vec<_>>()
            })
            .filter_map(|cells| match cells.as_slice() {
                [
                    server @ ("electrs" | "ElectrumX"),
                    request,
                    ours,
                    theirs,
                    reason,
                ] if !reason.is_empty() => Some(Self {
                    server: (*server).to_owned(),
                    request: (*request).to_owned(),
                    ours: (*ours).to_owned(),
                    theirs: (*theirs).to_owned(),
                    used: 0,
                }),
                _ => None,
            })
            .collect()
    }

    /// Whether this row explains the difference.
    pub(crate) fn explains(
        &self,
        server: &str,
        label: &str,
        ours: &Outcome,
        theirs: &Outcome,
    ) -> bool {
        self.server == server
            && matches(&self.request, label)
            && matches(&self.ours, &ours.kind())
            && matches(&self.theirs, &theirs.kind())
    }

    /// The row without its reason.
    pub(crate) fn row(&self) -> String {
        format!(
            "| {} | {} | {} | {} |",
            self.server, self.request, self.ours, self.theirs
        )
    }
}

/// `*` at either end stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(rest), None) => text.ends_with(rest),
        (None, Some(start)) => text.starts_with(start),
        (Some(_), Some(_)) => text.contains(pattern.trim_matches('*')),
        (None, None) => pattern == text,
    }
}
