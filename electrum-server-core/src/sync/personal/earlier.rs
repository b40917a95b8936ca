//! Births of wallets that are too late.

use super::Personal;

impl Personal {
    /// Warns when the scripts of a wallet have had outputs before its birth, once for each wallet.
    ///
    /// Blocks that the node has pruned may have had them as well; that was said when they were met.
    pub(super) fn warn_of_earlier<'a>(&mut self, scripts: impl Iterator<Item = &'a [u8; 32]>) {
        if !self.handle.unseen().is_empty() {
            return;
        }
        for script in scripts {
            if let Some((name, birth)) = self.progress.note_earlier(script) {
                tracing::warn!(
                    "the birth of wallet \"{name}\" ({birth}) is too late: it spends what it was paid before. Its history and \
                     balance miss something until the birth is moved back (--wallet-birth, or `birth` of the wallet)"
                );
            }
        }
    }
}
