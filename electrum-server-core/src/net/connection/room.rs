//! The room that a connection holds, and waits for.

use std::future::pending;

use electrum_protocol::{ErrorCode, ErrorObject};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::{Connection, End, passed, told};
use crate::answers::News;
use crate::metrics::Rejection;
use crate::session::{FAIR_BUFFER, Session};

/// Room that is held, as it was looked at last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) since: Instant,
    /// How much the client has to take until the next look if others wait for room.
    pub(super) due: usize,
    /// How much it has taken.
    pub(super) taken: usize,
}

impl Connection {
    /// Counts what is held for the client, and gives back the room that it does not need any more.
    pub(super) fn count(&mut self, session: &mut Session) {
        let unsent = self.wire.unsent();
        let held = session.held(unsent);
        self.buffer.set(held);
        let taken = self.wire.take_progress() + std::mem::take(&mut self.arrived);
        let is_within = session.is_in_batch() || session.has_long_input();
        let Some(account) = session.account() else {
            return;
        };
        match is_within {
            // The room is for what is still to come of the line, or of the answers.
            true => account.settle(held.max(account.granted())),
            false => account.settle(held),
        }
        let holds = account.has_room() || unsent.all > unsent.owned;
        match &mut self.holds {
            hold if !holds => *hold = None,
            Some(hold) => hold.taken += taken,
            hold @ None => {
                *hold = Some(Box::new(Hold {
                    since: Instant::now(),
                    due: FAIR_BUFFER.max(unsent.all / HOLD_PARTS),
                    taken: 0,
                }));
            }
        }
    }

    /// Tells whether a line has become long, and there is no room for it and for what is the answer to it.
    pub(super) fn lacks_room(&mut self, session: &mut Session) -> bool {
        let limits = &self.services.limits;
        let most = limits.shares().0.saturating_add(limits.room());
        let needed = limits.room_for_line().min(most);
        let is_long = session.has_long_input();
        is_long
            && session
                .account()
                .is_some_and(|account| !account.grow_to(needed))
    }

    /// Waits for room that others have, while what is ready to be sent is sent. Nothing is read meanwhile.
    pub(super) async fn wait_for_room(&mut self, session: &mut Session) -> Result<(), End> {
        let services = self.services.clone();
        let (limits, answers) = (&services.limits, services.answers());
        let wanted = session.wanted();
        let question = wanted.and_then(|wanted| wanted.question);
        let Some(account) = session.account() else {
            return Ok(());
        };
        let mut waiting = account.wait(match wanted {
            Some(wanted) => wanted.bytes,
            None => limits.room_for_line(),
        });
        let mut news = question.map(|question| answers.news(question));
        // Whether somebody else makes the answer.
        let mut follows = false;
        let until = Instant::now().checked_add(limits.room_timeout);
        loop {
            let deadline = self.patience(None);
            tokio::select! {
                biased;
                () = told(&mut self.closing), if self.drain_until.is_none() => {
                    self.drain();
                    break;
                }
                () = passed(deadline) => self.overdue()?,
                () = passed(until) => {
                    if !session.stop_waiting() {
                        self.services.metrics.reject(Rejection::Buffers);
                        session.end(&no_memory());
                    }
                    break;
                }
                update = self.updates.recv(), if self.published => self.note(update, session),
                () = some(&mut news) => break,
                room = &mut waiting, if !follows => match question.map(|question| answers.begin(question)) {
                    None => {
                        session.grant(room, None);
                        break;
                    }
                    Some(Some(making)) => {
                        session.grant(room, Some(making));
                        break;
                    }
                    // The room is for somebody else.
                    Some(None) => follows = true,
                },
                moved = self.wire.step(None) => {
                    moved?;
                    self.count(session);
                    yield_now().await;
                }
            }
        }
        self.excuse();
        Ok(())
    }
}

/// What a client is told for which there is no room.
pub(super) fn no_memory() -> ErrorObject {
    let message = "the server has no memory left for so much unread data";
    ErrorObject::new(ErrorCode::EXCESSIVE_USAGE, message).with_retry_after(60)
}

/// Whoever holds room takes what it is for in so many times [`hold_timeout`](Limits::hold_timeout) while others wait.
const HOLD_PARTS: usize = 12;

/// Waits for something, if there is something to wait for.
async fn some(news: &mut Option<News>) {
    match news {
        Some(news) => news.await,
        None => pending().await,
    }
}
