//! What the log says of a wallet: enough for its owner to know it again, and nothing that others could look for.

use super::WalletEntry;
use super::keys::{is_extended, shortened};

/// Describes the keys of a wallet. Addresses and scripts are counted, extended keys shown by their ends.
pub(crate) fn describe(entry: &WalletEntry) -> String {
    let (mut parts, mut singles) = (Vec::new(), 0);
    for text in &entry.keys {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let keys: Vec<&str> = words.filter(|word| is_extended(word)).collect();
        let threshold: Option<u32> = text
            .split_whitespace()
            .next()
            .and_then(|first| first.parse().ok());
        match (keys.as_slice(), text.split_once('(')) {
            ([], None) if text.trim().len() == 128 => {
                parts.push("an old master public key".to_owned());
            }
            ([], Some((name, _))) if !matches!(name, "addr" | "raw") => {
                parts.push(format!("{name}()"));
            }
            ([], _) => singles += text.split_whitespace().count(),
            ([first, ..], Some((name, _))) => {
                parts.push(format!("{name}() of {}", several(first, keys.len())))
            }
            ([first, ..], None) => match threshold {
                Some(threshold) => parts.push(format!(
                    "{threshold} of {}, {}",
                    keys.len(),
                    several(first, keys.len())
                )),
                None => parts.push(shortened(first)),
            },
        }
    }
    match singles {
        0 => {}
        1 => parts.push("1 address or script".to_owned()),
        more => parts.push(format!("{more} addresses or scripts")),
    }
    // Somebody may have hundreds.
    let rest = parts.len().saturating_sub(3);
    parts.truncate(3);
    if rest > 0 {
        parts.push(format!("{rest} more"));
    }
    parts.join(", ")
}

fn several(first: &str, count: usize) -> String {
    match count {
        1 => shortened(first),
        count => format!("{} and {} more", shortened(first), count - 1),
    }
}
