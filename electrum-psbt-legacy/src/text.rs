//! The texts that carry transactions: hex, base43, base64, and the JSON object of Electrum's files.

use alloc::string::String;
#[cfg(feature = "json")]
use alloc::string::ToString;
use alloc::vec::Vec;

use bitcoin::hex::FromHex;

use crate::{MAX_LEN, TextError, base43, base64};

/// The JSON object of Electrum's `.txn` files.
#[cfg(feature = "json")]
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JsonWrapper {
    /// The transaction in hex.
    pub hex: String,
    /// Whether all signatures are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Whether no input signals that it may be replaced; written from 2.7 on.
    #[serde(default, rename = "final", skip_serializing_if = "Option::is_none")]
    pub is_final: Option<bool>,
}

/// The form in which a text carried a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextForm {
    /// Hexadecimal digits of either case.
    Hex,
    /// What Electrum's QR codes hold.
    Base43,
    /// As PSBTs are written.
    Base64,
    /// The JSON object of a file.
    Json,
    /// No text at all: the bytes themselves.
    Raw,
}

/// The bytes that a file carries: a text as [`from_text`] reads it, or the bytes themselves where it is none, or begins as
/// transactions do that are not signed.
///
/// # Errors
/// [`TextError`] when it is a text and no form fits.
pub fn from_contents(contents: &[u8]) -> Result<(TextForm, Vec<u8>), TextError> {
    let is_raw = contents.starts_with(b"EPTF\xff") || contents.starts_with(b"psbt\xff");
    match core::str::from_utf8(contents) {
        Ok(text) if !is_raw => from_text(text),
        _ => Ok((TextForm::Raw, contents.to_vec())),
    }
}

/// The bytes that a text carries: hex, then base43, then base64, then the JSON object, the first that fits.
///
/// White space is taken away first, as Electrum does. A text of hexadecimal digits of even number is hex even where it
/// could be base43.
///
/// # Errors
/// [`TextError`] when no form fits.
pub fn from_text(text: &str) -> Result<(TextForm, Vec<u8>), TextError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    let (len, max, form) = (text.len(), 4 * MAX_LEN, "text");
    if len > max {
        return Err(TextError::TooLong { len, max, form });
    }
    #[cfg(feature = "json")]
    if text.starts_with('{') {
        return from_json(text).map(|bytes| (TextForm::Json, bytes));
    }
    let text: String = text.split_whitespace().collect();
    if let Ok(bytes) = Vec::from_hex(&text) {
        return Ok((TextForm::Hex, bytes));
    }
    match base43::decode(&text) {
        Ok(bytes) => return Ok((TextForm::Base43, bytes)),
        Err(too_long @ TextError::TooLong { .. })
            if text.chars().all(|c| base43::ALPHABET.contains(c)) =>
        {
            return Err(too_long);
        }
        Err(_) => {}
    }
    match base64::decode(&text) {
        Ok(bytes) => Ok((TextForm::Base64, bytes)),
        Err(_) => Err(TextError::UnknownForm(text.chars().take(40).collect())),
    }
}

#[cfg(feature = "json")]
fn from_json(text: &str) -> Result<Vec<u8>, TextError> {
    let wrapper: JsonWrapper =
        serde_json::from_str(text).map_err(|error| TextError::Json(error.to_string()))?;
    Vec::from_hex(wrapper.hex.trim()).map_err(|_| TextError::NotHex)
}

#[cfg(feature = "json")]
impl JsonWrapper {
    /// The object that Electrum 2.7 to 3.3 writes of a transaction.
    #[must_use]
    pub fn new(transaction: &crate::PartialTransaction) -> Self {
        use bitcoin::hex::DisplayHex;
        let mut sequences = transaction.inputs().iter().map(|input| input.sequence().0);
        Self {
            hex: transaction.encode().to_lower_hex_string(),
            complete: Some(transaction.is_complete()),
            is_final: Some(sequences.all(|sequence| sequence >= 0xffff_fffe)),
        }
    }

    /// The object as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and truth values are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_files() {
        assert_eq!(
            from_contents(b" 00Ff\n"),
            Ok((TextForm::Hex, alloc::vec![0, 0xff]))
        );
        assert_eq!(
            from_contents(b"EPTF\xff"),
            Ok((TextForm::Raw, b"EPTF\xff".to_vec()))
        );
        assert_eq!(
            from_contents(b"\x02\0\xff"),
            Ok((TextForm::Raw, b"\x02\0\xff".to_vec()))
        );
        assert_eq!(
            from_contents(b"cHNidP8="),
            Ok((TextForm::Base64, b"psbt\xff".to_vec()))
        );
        assert_eq!(from_contents(b" \n"), Err(TextError::Empty));
    }

    #[test]
    fn long_texts_are_refused() {
        let base43 = "Z".repeat(base43::MAX_CHARS + 1);
        assert!(matches!(
            from_text(&base43),
            Err(TextError::TooLong { form: "base43", .. })
        ));
        let text = " ".repeat(4 * MAX_LEN) + "!";
        assert!(matches!(from_text(&text), Err(TextError::UnknownForm(_))));
        let text = "0".repeat(4 * MAX_LEN + 1);
        assert!(matches!(
            from_text(&text),
            Err(TextError::TooLong { form: "text", .. })
        ));
    }

    #[cfg(feature = "json")]
    #[test]
    fn objects_without_hex_are_refused() {
        assert!(matches!(from_text("{}"), Err(TextError::Json(_))));
        assert!(matches!(from_text("{\"hex\":5}"), Err(TextError::Json(_))));
        assert_eq!(from_text("{\"hex\":\"0\"}"), Err(TextError::NotHex));
    }
}
