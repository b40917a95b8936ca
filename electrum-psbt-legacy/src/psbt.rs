//! The way to PSBT (BIP174) and back.
