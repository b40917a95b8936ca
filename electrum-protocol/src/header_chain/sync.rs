//! Following the headers of a server.

use bitcoin::block::Header;
use bitcoin::{BlockHash, Work};

use super::{Change, FollowError, HeaderChain, HeaderError, Limits, PERIOD, work};
use crate::method::block;
use crate::{Request, Response, Tip};

/// How far to step back at first when a server has another chain; eight times as far each time after.
const FIRST_STEP: u32 = 8;

/// How often a server may contradict itself between two of its tips: it may have reorganized while it was asked.
const MAX_RESTARTS: u32 = 8;

/// What the next headers are wanted for.
#[derive(Clone, Debug)]
enum Phase {
    /// They should follow our tip.
    Extend,
    /// They should show where the server's chain leaves ours; how far below the tips they begin.
    Search { back: u32 },
    /// They should follow a branch that was begun.
    Branch(Branch),
}

/// Checked headers that are not in the chain.
#[derive(Clone, Debug)]
struct Branch {
    fork: u32,
    headers: Vec<Header>,
    tip_hash: BlockHash,
    work: Work,
    /// The work in our headers above the fork.
    ours: Work,
}

impl Branch {
    fn height(&self) -> u32 {
        self.fork.saturating_add(self.headers.len() as u32)
    }

    /// Whether it has this tip.
    fn has(&self, tip: &Tip) -> bool {
        let index = tip
            .height
            .checked_sub(self.fork)
            .and_then(|above| above.checked_sub(1));
        index.is_some_and(|index| self.headers.get(index as usize) == Some(&tip.header))
    }
}

/// Follows the headers of one server after another.
///
/// Feed it the tips of `blockchain.headers.subscribe`, send what [`poll_request`](Self::poll_request) asks for, and give
/// the answers to [`receive`](Self::receive). One request is under way at a time, for up to 2016 headers. Everything is
/// asked with `blockchain.block.headers`, which is the same from protocol 1.2 on.
#[derive(Clone, Debug)]
pub struct HeaderSync {
    chain: HeaderChain,
    limits: Limits,
    /// The tip that the server announced and that was not reached yet.
    announced: Option<Tip>,
    phase: Phase,
    asked: Option<block::Headers>,
    /// How many headers the server gives in one answer.
    chunk: u32,
    restarts: u32,
    /// Whether the server announced another tip while a request was under way.
    announced_again: bool,
}

impl HeaderSync {
    /// Goes on from the tip of a chain.
    pub fn new(chain: HeaderChain, limits: Limits) -> Self {
        Self {
            chain,
            limits,
            announced: None,
            phase: Phase::Extend,
            asked: None,
            chunk: PERIOD,
            restarts: 0,
            announced_again: false,
        }
    }

    /// Returns the chain.
    pub fn chain(&self) -> &HeaderChain {
        &self.chain
    }

    /// Gives the chain back.
    pub fn into_chain(self) -> HeaderChain {
        self.chain
    }

    /// Tells whether everything was reached that the server announced. What an error has ended counts as not announced.
    pub fn is_synced(&self) -> bool {
        self.announced.is_none()
    }

    /// Returns the next request, if one is wanted and none is under way.
    pub fn poll_request(&mut self) -> Option<Request> {
        if self.asked.is_some() {
            return None;
        }
        let tip = self.announced?;
        let start = match &self.phase {
            Phase::Extend => self.chain.height().saturating_add(1),
            Phase::Search { back } => self.search_start(tip.height, *back),
            Phase::Branch(branch) => branch.height().saturating_add(1),
        };
        let request = block::Headers {
            start_height: start,
            count: self.chunk.min(tip.height.saturating_sub(start) + 1),
            cp_height: 0,
        };
        self.asked = Some(request);
        Some(request.into())
    }

    /// Takes the tip that the server announces, in its answer to `blockchain.headers.subscribe` or a notification.
    ///
    /// A header that follows what is known is taken as it is; in all other cases a request is wanted afterwards.
    /// `now` is what the caller's clock says, in seconds since 1970; without it headers may lie in the future.
    ///
    /// # Errors
    ///
    /// When the server cannot be followed there; see [`FollowError::is_final`].
    pub fn announce(&mut self, tip: Tip, now: Option<u32>) -> Result<Option<Change>, FollowError> {
        let height = tip.height;
        if height > self.limits.max_height {
            let limit = self.limits.max_height;
            return Err(FollowError::TooHigh { height, limit });
        }
        if height < self.chain.first_height() {
            let first = self.chain.first_height();
            return Err(FollowError::Behind { height, first });
        }
        self.announced = Some(tip);
        self.restarts = 0;
        self.announced_again = self.asked.is_some();
        // What is under way goes on, and is compared with the new tip when it comes.
        if self.asked.is_some() {
            return Ok(None);
        }
        let outcome = self.proceed(now);
        self.settle(outcome)
    }

    /// Takes the answer to the request that is under way.
    ///
    /// `now` is as in [`announce`](Self::announce).
    ///
    /// # Errors
    ///
    /// When the server cannot be followed; see [`FollowError::is_final`].
    pub fn receive(
        &mut self,
        response: Response,
        now: Option<u32>,
    ) -> Result<Option<Change>, FollowError> {
        let method = response.method();
        let (Response::BlockHeaders(response), Some(asked)) = (response, self.asked.take()) else {
            return Err(FollowError::Unasked { method });
        };
        if response.max > 0 {
            self.chunk = response.max.min(PERIOD);
        }
        let outcome = self.take(asked, response.headers, now);
        self.settle(outcome)
    }

    /// Forgets what is under way, after a refusal or when the connection is gone: the next tip begins anew. An answer to
    /// what was forgotten must not be passed on any more.
    pub fn disconnect(&mut self) {
        self.announced = None;
        self.announced_again = false;
        self.asked = None;
        self.phase = Phase::Extend;
        self.chunk = PERIOD;
    }

    /// After an error, nothing of this tip is left.
    fn settle(
        &mut self,
        outcome: Result<Option<Change>, FollowError>,
    ) -> Result<Option<Change>, FollowError> {
        if outcome.is_err() {
            self.announced = None;
            self.phase = Phase::Extend;
        }
        outcome
    }

    fn take(
        &mut self,
        asked: block::Headers,
        headers: Vec<Header>,
        now: Option<u32>,
    ) -> Result<Option<Change>, FollowError> {
        let announced = self.announced_height();
        if headers.len() > asked.count as usize {
            return Err(FollowError::TooMany {
                asked: asked.count,
                found: headers.len(),
            });
        }
        let announced_again = core::mem::take(&mut self.announced_again);
        let Some(first) = headers.first() else {
            // They may be gone for the sake of the tip that came since.
            if announced_again {
                self.restart()?;
                return self.proceed(now);
            }
            return Err(FollowError::NoHeaders {
                announced,
                height: asked.start_height,
            });
        };
        let below = asked.start_height.saturating_sub(1);
        let lowest = self.lowest_fork();
        let on_ours = self.chain.block_hash(below) == Some(first.prev_blockhash);
        match &mut self.phase {
            Phase::Branch(branch) if !branch.headers.is_empty() => {
                if branch.tip_hash == first.prev_blockhash {
                    self.chain
                        .check(branch.fork, &branch.headers, &headers, now)?;
                    branch.work = branch.work + work(&headers);
                    branch.tip_hash = headers.last().unwrap_or(first).block_hash();
                    branch.headers.extend(headers);
                } else {
                    self.restart()?;
                }
            }
            // The server's chain and ours are one up to here, and perhaps further.
            _ if on_ours => {
                let known = (asked.start_height..)
                    .zip(&headers)
                    .take_while(|(height, header)| self.chain.header(*height) == Some(*header))
                    .count();
                let headers = headers.get(known..).unwrap_or(&[]).to_vec();
                self.begin_branch(below.saturating_add(known as u32), headers, now)?;
            }
            Phase::Search { back } if below > lowest => *back = back.saturating_mul(8),
            Phase::Search { .. } => {
                let height = announced;
                return Err(FollowError::TooDeep { height, lowest });
            }
            Phase::Extend | Phase::Branch(_) => self.restart()?,
        }
        self.proceed(now)
    }

    /// Does what can be done without another answer.
    fn proceed(&mut self, now: Option<u32>) -> Result<Option<Change>, FollowError> {
        let Some(tip) = self.announced else {
            return Ok(None);
        };
        let height = tip.height;
        if self.chain.header(height) == Some(&tip.header) {
            self.finish();
            return Ok(None);
        }
        if let Phase::Branch(_) = self.phase {
            return self.weigh(&tip);
        }
        let below = height.checked_sub(1);
        let fork = below.filter(|below| {
            *below >= self.lowest_fork()
                && self.chain.block_hash(*below) == Some(tip.header.prev_blockhash)
        });
        if let Some(fork) = fork {
            self.begin_branch(fork, vec![tip.header], now)?;
            return self.weigh(&tip);
        }
        if height <= self.lowest_fork() {
            return Err(FollowError::TooDeep {
                height,
                lowest: self.lowest_fork(),
            });
        }
        if height <= self.chain.height() && matches!(self.phase, Phase::Extend) {
            self.phase = Phase::Search { back: FIRST_STEP };
        }
        Ok(None)
    }

    /// Compares the branch with ours: the one with the most work wins, and of equal ones that of the server, whose
    /// answers will have to be checked against it.
    fn weigh(&mut self, tip: &Tip) -> Result<Option<Change>, FollowError> {
        let Phase::Branch(branch) = &self.phase else {
            return Ok(None);
        };
        let (fork, height, ours) = (branch.fork, branch.height(), self.chain.height());
        let complete = height >= tip.height;
        if branch.headers.is_empty() {
            // The server's chain is ours: it came back to it while it was asked.
            if complete {
                self.finish();
            } else if fork == ours {
                self.phase = Phase::Extend;
                self.count_restart()?;
            }
            return Ok(None);
        }
        let reached = branch.has(tip);
        if branch.work > branch.ours || (reached && branch.work == branch.ours) {
            let change = self.chain.switch(fork, &branch.headers);
            self.restarts = 0;
            match (complete, reached) {
                (true, true) => self.finish(),
                // The server reorganized since it announced that tip; another one may be on its way.
                (true, false) => self.restart()?,
                (false, _) => self.phase = Phase::Extend,
            }
            return Ok(Some(change));
        }
        if reached {
            return Err(FollowError::LessWork { fork, height, ours });
        }
        if complete {
            self.restart()?;
            return Ok(None);
        }
        let length = branch.headers.len();
        if length as u64 > 2 * u64::from(self.limits.max_reorg) {
            return Err(FollowError::TooLong { fork, length });
        }
        Ok(None)
    }

    fn begin_branch(
        &mut self,
        fork: u32,
        headers: Vec<Header>,
        now: Option<u32>,
    ) -> Result<(), HeaderError> {
        self.chain.check(fork, &[], &headers, now)?;
        let fork_hash = self.chain.block_hash(fork);
        self.phase = Phase::Branch(Branch {
            fork,
            tip_hash: headers
                .last()
                .map(Header::block_hash)
                .or(fork_hash)
                .unwrap_or_else(|| self.chain.tip_hash()),
            work: work(&headers),
            ours: self.chain.work_above(fork),
            headers,
        });
        Ok(())
    }

    fn finish(&mut self) {
        self.announced = None;
        self.phase = Phase::Extend;
    }

    /// The answer does not continue what came before: looks for the fork anew.
    fn restart(&mut self) -> Result<(), FollowError> {
        self.phase = Phase::Search { back: FIRST_STEP };
        self.count_restart()
    }

    fn count_restart(&mut self) -> Result<(), FollowError> {
        self.restarts += 1;
        match self.restarts > MAX_RESTARTS {
            true => Err(FollowError::Contradiction {
                height: self.announced_height(),
            }),
            false => Ok(()),
        }
    }

    fn announced_height(&self) -> u32 {
        self.announced
            .map_or_else(|| self.chain.height(), |tip| tip.height)
    }

    /// The lowest height that may be the highest in common with another chain.
    fn lowest_fork(&self) -> u32 {
        let deepest = self.chain.height().saturating_sub(self.limits.max_reorg);
        self.chain.fixed_height().max(deepest)
    }

    /// Where a search begins that goes so far below the lower of the two tips.
    fn search_start(&self, announced: u32, back: u32) -> u32 {
        let top = self.chain.height().min(announced).saturating_add(1);
        top.saturating_sub(back)
            .max(self.lowest_fork().saturating_add(1))
    }
}
