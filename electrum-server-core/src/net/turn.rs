//! How long a session may go on before others get their turn.

use std::time::Duration;

use tokio::time::Instant;

/// A turn of a session. One that has more to do when it is over stands in line again.
pub(super) struct Turn {
    begun: Instant,
}

impl Turn {
    pub(super) fn begin() -> Self {
        Self {
            begun: Instant::now(),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(super) fn is_over(&self) -> bool {
        self.elapsed() >= TURN
    }
}

/// Much more than it costs to stand in line, much less than a client notices.
const TURN: Duration = Duration::from_millis(10);
