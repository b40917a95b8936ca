//! The obfuscation of block files.

/// Eight bytes that a node combines with everything in its block files by exclusive or, from the start of each file on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key([u8; Self::LEN]);

impl Key {
    pub(super) const LEN: usize = 8;

    pub(super) fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Turns bytes as they are in the file, from `offset` on, into what they mean; and back.
    pub(super) fn apply(self, bytes: &mut [u8], offset: u64) {
        if self.0 == [0; Self::LEN] {
            return;
        }
        let mut key = self.0;
        let phase = usize::try_from(offset % 8).expect("below 8");
        key.rotate_left(phase);
        let word = u64::from_ne_bytes(key);
        // Whole words: the compiler makes wide instructions of it.
        let (words, rest) = bytes.as_chunks_mut::<{ Self::LEN }>();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_byte_meets_its_byte_of_the_key(
            key: [u8; 8],
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            offset in 0u64..1 << 40,
        ) {
            let expected: Vec<u8> = (offset..)
                .zip(&bytes)
                .map(|(at, byte)| byte ^ key[usize::try_from(at % 8).unwrap()])
                .collect();
            let mut found = bytes.clone();
            Key::new(key).apply(&mut found, offset);
            prop_assert_eq!(&found, &expected);
            Key::new(key).apply(&mut found, offset);
            prop_assert_eq!(found, bytes);
        }
    }
}
