//! What sessions have in common with others: counts that are limited per subnet and for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::limits::Limits;
use super::reply::MethodError;

/// A count of subscriptions.
#[derive(Debug, Default)]
pub struct Tally(AtomicUsize);

impl Tally {
    /// Returns how many there are now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where the subscriptions of a session count.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    /// Those of the same subnet, unless it is exempt.
    pub subnet: Option<Arc<Tally>>,
    /// Those of all.
    pub all: Arc<Tally>,
}

impl Quota {
    /// Checks that there is room for one more.
    ///
    /// Several sessions may be told so at once; the count exceeds the limit by no more than the threads there are.
    pub(super) fn admit(&self, limits: &Limits) -> Result<(), MethodError> {
        let max = limits.max_subnet_subscriptions;
        if self
            .subnet
            .as_ref()
            .is_some_and(|tally| tally.count() >= max)
        {
            return Err(MethodError::TooManySubscriptionsOfSubnet { max });
        }
        match self.all.count() < limits.max_total_subscriptions {
            true => Ok(()),
            false => Err(MethodError::TooManySubscriptionsOfAll),
        }
    }

    pub(super) fn take(&self, count: usize) {
        for tally in self.tallies() {
            tally.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn give_back(&self, count: usize) {
        for tally in self.tallies() {
            tally.0.fetch_sub(count, Ordering::Relaxed);
        }
    }

    fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.subnet.iter().chain([&self.all]).map(Arc::as_ref)
    }
}
