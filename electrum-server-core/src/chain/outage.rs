//! What is wrong with the node, and since when: for a log that says each reason once, and for a status page.

use std::time::{Duration, Instant};

use super::SourceError;

/// How the node is, as whoever follows it saw it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Why it cannot be followed now; nothing while it can.
    pub outage: Option<Outage>,
    /// How often it could not be followed, the present time included.
    pub outages: u64,
}

/// A time in which the node cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The reason that was found last.
    pub error: SourceError,
    /// When the outage began.
    pub since: Instant,
}

impl NodeStatus {
    /// Notes that the node could not be followed.
    pub fn failed(&mut self, error: SourceError, now: Instant) {
        let since = match self.outage.take() {
            Some(outage) => outage.since,
            None => {
                self.outages += 1;
                now
            }
        };
        self.outage = Some(Outage { error, since });
    }

    /// Notes that the node could be followed; tells whether that had not been so.
    pub fn recovered(&mut self) -> bool {
        self.outage.take().is_some()
    }
}

/// Decides which reasons of an outage are worth a line of a log.
///
/// A reason is said when it is another than the one that was said last; two that only differ in numbers and hashes are the
/// same. What was said before is not said again too soon, not in another outage either.
#[derive(Clone, Debug, Default)]
pub struct OutageLog {
    /// What was said, the latest at the end.
    said: Vec<Said>,
    /// Whether anything was said in this outage.
    has_begun: bool,
}

#[derive(Clone, Debug)]
struct Said {
    kind: String,
    at: Instant,
    /// How long it is not said again.
    pause: Duration,
}

/// How long a reason is not said again, at first and at most; doubled each time.
const PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));
/// Between two reasons, however new they are.
const GAP: Duration = Duration::from_secs(1);
/// How many reasons are remembered, and how many new ones are said in an hour.
const MAX_REASONS: usize = 32;

impl OutageLog {
    /// Tells whether a reason is to be said now.
    pub fn is_news(&mut self, error: &SourceError, now: Instant) -> bool {
        let kind = kind(&error.to_string());
        if let Some(last) = self.said.last()
            && (self.has_begun && last.kind == kind || now.saturating_duration_since(last.at) < GAP)
        {
            return false;
        }
        let before = self.said.iter().position(|said| said.kind == kind);
        let pause = match before.and_then(|place| self.said.get(place)) {
            Some(said) if now.saturating_duration_since(said.at) < said.pause => return false,
            Some(said) => (said.pause * 2).min(PAUSE.1),
            None => PAUSE.0,
        };
        let forgotten = match (before, self.said.first()) {
            (None, Some(oldest)) if self.said.len() >= MAX_REASONS => {
                if now.saturating_duration_since(oldest.at) < PAUSE.1 {
                    return false;
                }
                Some(0)
            }
            _ => before,
        };
        if let Some(place) = forgotten {
            self.said.remove(place);
        }
        self.said.push(Said {
            kind,
            at: now,
            pause,
        });
        self.has_begun = true;
        true
    }

    /// Notes that the outage is over. Tells whether that is to be said, because a reason was.
    pub fn end(&mut self) -> bool {
        std::mem::take(&mut self.has_begun)
    }
}

/// What is the same in two messages that tell the same of other blocks.
fn kind(message: &str) -> String {
    let is_word = |char: char| char.is_alphanumeric();
    let mut kind = String::with_capacity(message.len());
    let mut word = String::new();
    for char in message.chars().chain([' ']) {
        if is_word(char) {
            word.push(char);
            continue;
        }
        match word.contains(|char: char| char.is_ascii_digit()) {
            true => kind.push('#'),
            false => kind.push_str(&word),
        }
        word.clear();
        kind.push(char);
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> SourceError {
        SourceError::transient(text)
    }

    #[test]
    fn each_reason_is_said_when_it_is_new() {
        let mut log = OutageLog::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let refused = error("the node at 127.0.0.1:8332: Connection refused");
        assert!(log.is_news(&refused, at(0)));
        for second in 1..1000 {
            assert!(!log.is_news(&refused, at(second)), "said already");
        }
        assert!(log.is_news(&error("the node is 140 blocks behind"), at(1000)));
        // The same reason, further on.
        for behind in 1..140 {
            let text = format!("the node is {behind} blocks behind");
            assert!(!log.is_news(&error(&text), at(1000 + behind)), "{text}");
        }
        assert!(log.is_news(&error("the node is on another network"), at(1200)));
        // What is true again is said again.
        assert!(log.is_news(&refused, at(1300)));
        // Another outage, and one too many of them.
        assert!(log.end());
        assert!(log.is_news(&refused, at(2000)));
        assert!(log.end());
        assert!(!log.is_news(&refused, at(2005)));
        assert!(!log.end(), "nothing was said");
    }

    /// A node that changes its mind all the time does not fill the disk.
    #[test]
    fn reasons_that_alternate_are_said_ever_more_rarely() {
        for count in [2_u64, 20, 100] {
            let mut log = OutageLog::default();
            let begin = Instant::now();
            let mut said = 0;
            let mut in_the_last_hour = 0;
            for second in 0..86_400_u64 {
                let letters = u8::try_from(second % count).unwrap();
                let text = format!(
                    "reason {}",
                    char::from_u32(0x4e00 + u32::from(letters)).unwrap()
                );
                if log.is_news(&error(&text), begin + Duration::from_secs(second)) {
                    said += 1;
                    in_the_last_hour += u64::from(second >= 82_800);
                }
            }
            assert!(said >= count.min(32), "{count}: {said}");
            assert!(in_the_last_hour <= 64, "{count}: {in_the_last_hour}");
        }
    }

    #[test]
    fn an_outage_has_a_beginning_a_reason_and_an_end() {
        let mut status = NodeStatus::default();
        let begin = Instant::now();
        status.failed(error("a"), begin);
        status.failed(error("b"), begin + Duration::from_secs(5));
        let outage = status.outage.clone().unwrap();
        assert_eq!((outage.error, outage.since), (error("b"), begin));
        assert!(status.recovered() && !status.recovered());
        status.failed(error("c"), begin + Duration::from_secs(9));
        assert_eq!(status.outages, 2);
    }
}
