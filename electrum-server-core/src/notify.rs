//! What is told when a view takes the place of another.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use electrum_protocol::ScriptHash;

use crate::view::View;

/// The newest view. Readers take it without waiting, whatever the writer does.
pub struct Published(ArcSwap<View>);

impl Published {
    /// Publishes a first view.
    pub fn new(view: View) -> Self {
        Self(ArcSwap::from_pointee(view))
    }

    /// Returns the newest view.
    pub fn view(&self) -> View {
        View::clone(&self.0.load())
    }

    /// Publishes a view in the place of the one before.
    pub fn publish(&self, view: View) {
        self.0.store(Arc::new(view));
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Published").field(&self.view()).finish()
    }
}

/// Says that a newer view has been published.
///
/// The view itself is not in here: whoever is told takes the newest there is, and a message that waits keeps no old view
/// alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The sequence number of the view.
    pub sequence: u64,
    /// The scripts that may have another status than in the view before.
    pub touched: Touched,
}

/// Scripts whose histories may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// These, and no others.
    Scripts(HashSet<ScriptHash>),
    /// Any: blocks were undone.
    Everything,
}
