//! Decoders of `electrum-server-core` for what a node's files hold.

use electrum_server_core::chain::blockfiles::for_each_spent;

/// Undo data: any bytes are refused, or show as many outputs as they have room for.
pub fn undo(data: &[u8]) {
    let mut count = 0;
    let mut last = None;
    let result = for_each_spent(data, |output| {
        let place = (output.transaction, output.input);
        assert!(last.is_none_or(|last| last < place), "in order");
        last = Some(place);
        count += 1;
    });
    if result.is_ok() {
        // The shortest has a height, a number that nobody reads or not, a value, and a form without a script.
        assert!(count <= data.len());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_few_inputs() {
        for data in [&[][..], &[0], &[1, 1, 0, 0, 6], &[1, 0xfd, 1], &[0xff; 40]] {
            super::undo(data);
        }
    }
}
