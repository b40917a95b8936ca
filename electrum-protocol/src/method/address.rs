//! `blockchain.address.*`: what happened to an address. Gone in protocol 1.3.
//!
//! Every method here takes one parameter, the address: as text, since only a server knows which network's addresses it
//! serves, and a notification repeats the text of the subscription.

use super::one_parameter;

one_parameter! {
    /// `blockchain.address.get_balance`: how much the address holds.
    ///
    /// Params: `[address]`. Result: [`Balance`](super::scripthash::Balance).
    GetBalance {
        /// The address.
        address: String as "address"
    }

    /// `blockchain.address.get_history`: every transaction that touches the address.
    ///
    /// Params: `[address]`. Result: a list of [`HistoryEntry`](super::scripthash::HistoryEntry)s.
    GetHistory {
        /// The address.
        address: String as "address"
    }

    /// `blockchain.address.get_mempool`: the unconfirmed part of the history.
    ///
    /// Params: `[address]`. Result: a list of [`HistoryEntry`](super::scripthash::HistoryEntry)s.
    GetMempool {
        /// The address.
        address: String as "address"
    }

    /// `blockchain.address.listunspent`: the outputs to the address that nothing spends.
    ///
    /// Params: `[address]`. Result: a list of [`Unspent`](super::scripthash::Unspent)s.
    ListUnspent {
        /// The address.
        address: String as "address"
    }

    /// `blockchain.address.subscribe`: the status now, and a notification whenever it changes.
    ///
    /// Params: `[address]`. Result: the [`Status`](crate::Status), `null` without a history. Params of the notification:
    /// `[address, status]`.
    Subscribe {
        /// The address.
        address: String as "address"
    }
}
