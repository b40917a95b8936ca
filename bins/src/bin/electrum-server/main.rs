//! (electrum-server)

fn main() {}
