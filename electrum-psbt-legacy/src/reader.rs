//! Reads fields one after the other and never past the end.

use alloc::vec::Vec;

use crate::DecodeError;

pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest().len()
    }

    pub(crate) fn skip(&mut self, prefix: &[u8]) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.offset += prefix.len();
        }
        found
    }

    pub(crate) fn take(
        &mut self,
        len: usize,
        field: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let Some(taken) = self.rest().get(..len) else {
            let offset = self.offset;
            return Err(DecodeError::Truncated { offset, field });
        };
        self.offset += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let taken = self.take(N, field)?;
        Ok(taken.try_into().expect("taken with this length"))
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.array(field).map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_le_bytes)
    }

    pub(crate) fn hash(&mut self, field: &'static str) -> Result<[u8; 32], DecodeError> {
        self.array(field)
    }

    /// A CompactSize in its shortest form.
    pub(crate) fn compact_size(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let offset = self.offset;
        let (value, least) = match self.u8(field)? {
            0xfd => (u64::from(self.u16(field)?), 0xfd),
            0xfe => (u64::from(self.u32(field)?), 0x1_0000),
            0xff => (self.u64(field)?, 0x1_0000_0000),
            byte => (u64::from(byte), 0),
        };
        match value >= least {
            true => Ok(value),
            false => Err(DecodeError::NotMinimal { field, offset }),
        }
    }

    /// A count of things that take at least `size` bytes each.
    pub(crate) fn count(&mut self, size: usize, field: &'static str) -> Result<usize, DecodeError> {
        let offset = self.offset;
        let count = self.compact_size(field)?;
        let remaining = self.remaining();
        match usize::try_from(count) {
            Ok(fits) if fits <= remaining / size.max(1) => Ok(fits),
            _ => Err(DecodeError::CountTooLarge {
                field,
                count,
                offset,
                remaining,
            }),
        }
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<Vec<u8>, DecodeError> {
        let len = self.count(1, field)?;
        self.take(len, field).map(<[u8]>::to_vec)
    }
}

pub(crate) fn write_compact_size(out: &mut Vec<u8>, value: usize) {
    match value {
        0..=0xfc => out.push(value.to_le_bytes()[0]),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend(value.to_le_bytes().iter().take(2));
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend(value.to_le_bytes().iter().take(4));
        }
        _ => {
            out.push(0xff);
            out.extend((value as u64).to_le_bytes());
        }
    }
}

pub(crate) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_compact_size(out, bytes.len());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use bitcoin::hex::{DisplayHex, FromHex};

    use super::*;

    /// `test_compact_size` of Electrum 3.3.8, `electrum/tests/test_transaction.py`.
    #[test]
    fn compact_sizes() {
        let hex = "0001fcfdfd00fdfffffe00000100feffffffffff0000000001000000ffffffffffffffffff";
        let values = [
            0,
            1,
            252,
            253,
            65535,
            65536,
            0xffff_ffff,
            0x1_0000_0000,
            u64::MAX,
        ];
        let bytes = Vec::from_hex(hex).expect("hex");
        let mut reader = Reader::new(&bytes);
        let mut written = Vec::new();
        for value in values {
            assert_eq!(reader.compact_size("number"), Ok(value));
            write_compact_size(&mut written, usize::try_from(value).expect("64 bits"));
        }
        assert_eq!(reader.remaining(), 0);
        assert_eq!(written.to_lower_hex_string(), hex);
    }
}
