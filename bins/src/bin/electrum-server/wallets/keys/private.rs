//! Whether somebody has written a secret by mistake.

/// Whether a text seems to hold a private key, perhaps with a mistake in it: an extended one, a single one in base58, or
/// the words of a seed.
pub(super) fn is_private(text: &str) -> bool {
    let is_base58 =
        |word: &&str| word.len() > 40 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let has_key = words.filter(is_base58).any(|word| {
        // Something may stand right before it; in a public key and in an address these letters may come by chance.
        let is_public = word.get(1..4) == Some("pub") && word.len() <= 112;
        let extended = word.get(1..4) == Some("prv")
            || (word.len() > 100 && word.contains("prv") && !is_public);
        // No address is as long, no script and no hash has other letters than hexadecimal digits.
        let single = matches!(word.len(), 51 | 52)
            && word.starts_with(['5', 'K', 'L', '9', 'c'])
            && !word.bytes().all(|byte| byte.is_ascii_hexdigit());
        // BIP 38.
        let encrypted = word.len() == 58 && word.starts_with("6P");
        extended || single || encrypted
    });
    // Addresses are longer.
    let is_of_seed =
        |word: &str| word.len() <= 12 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let phrase: Vec<&str> = text.split_whitespace().collect();
    has_key || (phrase.len() >= 12 && phrase.into_iter().all(is_of_seed))
}
