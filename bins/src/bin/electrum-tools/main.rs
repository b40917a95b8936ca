//! (electrum-tools)

fn main() {}
