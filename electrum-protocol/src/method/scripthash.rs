//! (scripthash)
