//! Several requests at once, as a value.

use core::marker::PhantomData;

use crate::method::{Call, Request, Response};
use crate::request_error::RequestError;

/// Requests that are sent together, and answered together.
///
/// A connected client sends them as JSON arrays no longer than its server takes, so that a batch may be of any length.
///
/// ```
/// use electrum_protocol::Batch;
/// use electrum_protocol::method::{fee, server};
///
/// let mut batch = Batch::new();
/// let banner = batch.add(server::Banner);
/// let relay_fee = batch.add(fee::RelayFee);
/// assert_eq!(batch.len(), 2);
/// # let _ = (banner, relay_fee);
/// // let mut replies = client.batch(batch)?;
/// // let banner: String = replies.take(banner)?;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    requests: Vec<Request>,
}

/// The place of a request in its [`Batch`], where its result will be found.
#[derive(Debug)]
pub struct Place<C> {
    index: usize,
    call: PhantomData<fn() -> C>,
}

impl Batch {
    /// Starts an empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a request, and returns where its result will be.
    pub fn add<C: Call>(&mut self, call: C) -> Place<C> {
        self.requests.push(call.into());
        Place {
            index: self.requests.len() - 1,
            call: PhantomData,
        }
    }

    /// Adds a request whose method is known at run time only. Its result is the one of this place in
    /// [`Replies::into_iter`].
    pub fn push(&mut self, request: Request) {
        self.requests.push(request);
    }

    /// Returns the requests, in order.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Returns how many requests there are.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

impl Extend<Request> for Batch {
    fn extend<I: IntoIterator<Item = Request>>(&mut self, requests: I) {
        self.requests.extend(requests);
    }
}

impl FromIterator<Request> for Batch {
    fn from_iter<I: IntoIterator<Item = Request>>(requests: I) -> Self {
        Self {
            requests: requests.into_iter().collect(),
        }
    }
}

/// The results of a [`Batch`], each for itself: that one request is refused says nothing about the others.
#[derive(Debug)]
pub struct Replies {
    results: Vec<Option<Result<Response, RequestError>>>,
}

impl Replies {
    /// Takes the result of a request out.
    ///
    /// # Errors
    ///
    /// The error of this request, and [`RequestError::NotInBatch`] for a place that belongs to another batch.
    pub fn take<C: Call>(&mut self, place: Place<C>) -> Result<C::Response, RequestError> {
        let foreign = RequestError::NotInBatch { method: C::METHOD };
        let Some(result) = self.results.get_mut(place.index) else {
            return Err(foreign);
        };
        let fits = |result: &mut Result<Response, RequestError>| match result {
            Ok(response) => response.method() == C::METHOD,
            Err(_) => true,
        };
        match result.take_if(fits) {
            Some(Ok(response)) => C::unwrap(response).ok_or(foreign),
            Some(Err(error)) => Err(error),
            None => Err(foreign),
        }
    }
}

/// Makes replies of the results, in the order of their requests.
impl FromIterator<Result<Response, RequestError>> for Replies {
    fn from_iter<I: IntoIterator<Item = Result<Response, RequestError>>>(results: I) -> Self {
        Self {
            results: results.into_iter().map(Some).collect(),
        }
    }
}

/// The results that were not taken, in the order of their requests.
impl IntoIterator for Replies {
    type Item = Result<Response, RequestError>;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Option<Self::Item>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.results.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{fee, server};

    #[test]
    fn results_are_found_at_their_places_and_nowhere_else() {
        let mut batch = Batch::new();
        let banner = batch.add(server::Banner);
        let donation = batch.add(server::DonationAddress);
        let mut other = Batch::new();
        let foreign = other.add(fee::RelayFee);
        batch.push(server::Banner.into());
        assert_eq!(batch.requests().len(), 3);

        let text = |text: &str| Ok(Response::ServerBanner(text.to_owned()));
        let mut replies: Replies = [text("hello"), Err(RequestError::TimedOut), text("again")]
            .into_iter()
            .collect();
        let refused = RequestError::NotInBatch {
            method: crate::Method::RelayFee,
        };
        assert_eq!(
            replies.take(foreign).unwrap_err().to_string(),
            refused.to_string()
        );
        assert_eq!(replies.take(banner).unwrap(), "hello");
        assert!(matches!(
            replies.take(donation),
            Err(RequestError::TimedOut)
        ));
        let rest: Vec<_> = replies.into_iter().map(Result::unwrap).collect();
        assert_eq!(rest, [text("again").unwrap()]);
    }
}
