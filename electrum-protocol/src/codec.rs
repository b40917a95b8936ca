//! The codec for `tokio_util::codec::Framed`.
