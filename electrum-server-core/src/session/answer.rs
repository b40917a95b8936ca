//! Answers one request: in the place that suits it, within the memory that the client may use, and once for all who ask
//! the same.

use std::sync::Arc;

use electrum_protocol::server::Token;
use electrum_protocol::{ErrorCode, ErrorObject, ProtocolVersion, Request, Response, ScriptHash};

use super::extent::{Entries, Extent, SMALL, UNSPENT, extent, size_of_transaction};
use super::handlers::{self, Turn};
use super::limits::{self, FAIR_BUFFER, Place};
use super::reply::{self, MethodError};
use super::services::Services;
use super::{Next, Session, Unsent};
use crate::answers::{Making, Question, SharedAnswer};
use crate::room::{Account, Room};
use crate::view::{QueryError, View};

/// Room that a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) bytes: usize,
    /// What the answer is to, when others who ask the same can have it as well.
    pub(crate) question: Option<Question>,
}

/// Room for an answer that is shared, and the right to make it.
#[derive(Debug)]
pub(super) struct Granted {
    question: Question,
    room: Room,
    making: Making,
}

/// A request that is being answered.
#[derive(Clone, Copy)]
struct Asked<'a> {
    token: &'a Token,
    request: &'a Request,
    question: Option<Question>,
    place: Place,
    services: &'a Services,
    unsent: Unsent,
}

/// How a request is answered.
enum Found {
    /// With this.
    Answer(Answer),
    /// By its handler, which looks at no more transactions of a script than `limit`.
    Handler {
        limit: Option<usize>,
        granted: Option<Granted>,
    },
}

/// What a handler has answered, and to which question in which view, if the answer lasts.
struct Handled {
    result: Result<Response, MethodError>,
    question: Option<(Question, u64)>,
}

/// What is said to a request.
enum Answer {
    Result(Result<Response, MethodError>),
    Encoded(Vec<u8>),
    Kept(Arc<[u8]>),
    Shared(Arc<SharedAnswer>),
}

/// So many transactions of a script are looked at before a request counts as one that takes long.
const FEW: usize = 2048;

impl Session {
    /// Answers a request, or returns what is needed first: then the request is held.
    pub(super) fn answer(
        &mut self,
        token: Token,
        request: Request,
        place: Place,
        services: &Services,
        unsent: Unsent,
    ) -> Option<Next> {
        self.wanted = None;
        let asked = Asked {
            token: &token,
            request: &request,
            question: Question::of(&request),
            place,
            services,
            unsent,
        };
        let found = self.find(&asked);
        let question = asked.question;
        let answer = match found {
            Err(next) => {
                self.held = Some((token, request));
                return Some(next);
            }
            Ok(Found::Answer(answer)) => answer,
            Ok(Found::Handler { limit, granted }) => {
                let left = self.left(&asked);
                // Only what may turn out to take long is asked again.
                let is_kept = limit != services.limits.max_history;
                let kept = is_kept.then(|| request.clone());
                let version = token.version();
                let handled = self.handle(request, question, version, limit, left, services);
                match handled {
                    Some(handled) => self.keep(handled, version, granted, services),
                    None => {
                        self.is_long = true;
                        self.held = kept.map(|request| (token, request));
                        return Some(Next::Needs(Place::Long));
                    }
                }
            }
        };
        self.granted = None;
        self.is_long = false;
        let version = token.version();
        match answer {
            Answer::Result(result) => self.server.reply(
                token,
                result.map_err(|error| reply::to_wire(&error, version)),
            ),
            Answer::Encoded(bytes) => self.server.reply_encoded(token, &bytes),
            Answer::Kept(bytes) => self.server.reply_encoded(token, &bytes),
            Answer::Shared(answer) => self.server.reply_shared(token, answer),
        }
        None
    }

    /// Finds the answer, or what is needed first.
    fn find(&mut self, asked: &Asked<'_>) -> Result<Found, Next> {
        let Asked {
            request,
            place,
            services,
            ..
        } = *asked;
        self.make_room(asked.around(), asked.unsent)?;
        if let Some(result) = self.of_no_wallet(request, services) {
            return Ok(Found::Answer(Answer::Result(result)));
        }
        if let Some(question) = asked.question
            && let Some(answer) = self.known(question, asked)?
        {
            services.metrics.answered(request.method(), true);
            return Ok(Found::Answer(answer));
        }
        let needed = match self.is_long {
            true => Place::Long,
            false => self.place(request, services),
        };
        if !place.handles(needed) {
            return Err(Next::Needs(needed));
        }
        let max = services.limits.max_history;
        match self.with_view(services, |view| extent(request, services, view)) {
            Extent::Bytes(bytes) => {
                self.make_room(asked.around() + bytes, asked.unsent)?;
                // What needs the node as well cannot be done where things may take long.
                let limit = match needed == Place::Store && place != Place::Long {
                    true => Some(at_most(max, FEW)),
                    false => max,
                };
                let granted = None;
                Ok(Found::Handler { limit, granted })
            }
            Extent::Transaction { txid, form } => {
                // What nobody knows is an error most likely, and so is what cannot be read.
                let view = self.view(services);
                let size = size_of_transaction(&view, &txid).unwrap_or_default();
                let bytes = size.map_or(0, |size| size.saturating_mul(form));
                let bytes = bytes.min(services.limits.max_response);
                let granted = self.make_room_to_share(bytes, asked)?;
                let limit = max;
                Ok(Found::Handler { limit, granted })
            }
            Extent::Entries(entries) => self.find_entries(entries, asked),
        }
    }

    /// The same for a request whose answer is as long as a script's history, or as its list of outputs.
    fn find_entries(&mut self, entries: Entries, asked: &Asked<'_>) -> Result<Found, Next> {
        let services = asked.services;
        let max = services.limits.max_history;
        let view = self.view(services);
        let sequence = view.sequence();
        let known = asked
            .question
            .and_then(|question| services.answers().extent(&question, sequence));
        if known.is_none() && asked.place != Place::Long && !entries.is_unconfirmed() {
            // Most histories are short: they need not be counted first.
            self.reach_out(asked);
            let rows = entries.rows_within(self.left(asked));
            return Ok(Found::Handler {
                limit: Some(at_most(max, rows.min(FEW))),
                granted: None,
            });
        }
        let bytes = match known.map_or_else(|| entries.bytes(&view, max), Ok) {
            Ok(bytes) => bytes,
            Err(error) => {
                let method = asked.request.method();
                services.metrics.answered(method, false);
                return Ok(Found::Answer(Answer::Result(Err(error.into()))));
            }
        };
        if let (Some(question), None) = (asked.question, known) {
            services.answers().keep_extent(question, sequence, bytes);
        }
        // What is longer becomes an error.
        let bytes = bytes.min(services.limits.max_response);
        let granted = self.make_room_to_share(bytes, asked)?;
        if asked.place == Place::Long || entries.is_unconfirmed() {
            let limit = max;
            return Ok(Found::Handler { limit, granted });
        }
        self.granted = granted.map(Box::new);
        self.is_long = true;
        Err(Next::Needs(Place::Long))
    }

    /// Handles a request, looking at no more than `limit` transactions of a script. Returns nothing when there are more, and
    /// more are allowed where things may take long.
    fn handle(
        &mut self,
        request: Request,
        question: Option<Question>,
        version: ProtocolVersion,
        limit: Option<usize>,
        left: usize,
        services: &Services,
    ) -> Option<Handled> {
        let method = request.method();
        let view = self.view(services);
        let sequence = view.sequence();
        let mut turn = Turn {
            services,
            version,
            view,
            subscriptions: &mut self.subscriptions,
            client: self.client,
            max_history: limit,
        };
        let result = handlers::handle(request, &mut turn);
        let view = turn.view;
        if limit != services.limits.max_history {
            let is_long = match &result {
                Err(MethodError::Query(QueryError::TooLong { limit: reached })) => {
                    Some(*reached) == limit
                }
                Ok(response) => outputs(response).saturating_mul(UNSPENT) > left,
                Err(_) => false,
            };
            if is_long {
                return None;
            }
        }
        services.metrics.answered(method, result.is_ok());
        self.subscriptions.settle();
        let now = view.sequence();
        let is_lasting = |question: &Question| {
            question.transaction().is_none_or(|txid| {
                // Others are forgotten by the node without a word.
                matches!(view.position(&txid), Ok(Some(_)))
            })
        };
        let question = question.filter(is_lasting).map(|question| (question, now));
        if now != sequence {
            self.adopt(view);
        }
        Some(Handled { result, question })
    }

    /// Keeps an answer for those who ask the same.
    fn keep(
        &mut self,
        handled: Handled,
        version: ProtocolVersion,
        granted: Option<Granted>,
        services: &Services,
    ) -> Answer {
        let answers = services.answers();
        let Handled { result, question } = handled;
        match (result, question, granted) {
            (Ok(response), Some((question, sequence)), Some(granted)) => {
                let mut encoded = Vec::with_capacity(granted.room.bytes());
                response.encode(version, &mut encoded);
                drop(response);
                let bytes: Arc<[u8]> = encoded.into();
                answers.keep_bytes(question, sequence, bytes.clone());
                Answer::Shared(granted.share(bytes, sequence, services))
            }
            (Ok(response), Some((question, sequence)), None) => {
                let mut encoded = Vec::new();
                response.encode(version, &mut encoded);
                answers.keep_result(question, sequence, &encoded);
                Answer::Encoded(encoded)
            }
            (result, _, granted) => {
                // The client's alone after all.
                if let (Some(account), Some(granted)) = (&mut self.account, granted) {
                    account.add(granted.room);
                }
                Answer::Result(result)
            }
        }
    }

    /// Returns the answer to a question, if it was computed before.
    fn known(&mut self, question: Question, asked: &Asked<'_>) -> Result<Option<Answer>, Next> {
        let services = asked.services;
        let sequence = self.with_view(services, View::sequence);
        let answers = services.answers();
        if let Some(answer) = answers.result(&question, sequence) {
            if answer.len() <= self.left(asked) {
                return Ok(Some(Answer::Kept(answer)));
            }
            if let Some(answer) = self.on_its_way(question, sequence, asked) {
                return Ok(Some(answer));
            }
            let granted = self.make_room_to_share(answer.len(), asked)?;
            return Ok(Some(match granted {
                Some(granted) => Answer::Shared(granted.share(answer, sequence, services)),
                None => Answer::Kept(answer),
            }));
        }
        Ok(self.on_its_way(question, sequence, asked))
    }

    /// Returns the answer to a question, if others are being sent it. A batch needs a copy.
    fn on_its_way(&self, question: Question, sequence: u64, asked: &Asked<'_>) -> Option<Answer> {
        let is_alone = self.account.is_some() && self.server.most_of_batch().is_none();
        let answer = asked.services.answers().shared(&question, sequence);
        answer.filter(|_| is_alone).map(Answer::Shared)
    }

    /// Says where a request is handled.
    fn place(&mut self, request: &Request, services: &Services) -> Place {
        let script_hash = match request {
            Request::ScripthashSubscribe(params) => Some(params.script_hash),
            Request::ScripthashGetStatus(params) => Some(params.script_hash),
            Request::ScriptpubkeySubscribe(params) => Some(ScriptHash::from_script(&params.script)),
            _ => None,
        };
        if let Some(script_hash) = script_hash {
            let sequence = self.with_view(services, View::sequence);
            let known = services.answers().status(&script_hash, sequence);
            if known.is_some() {
                return Place::Reactor;
            }
        }
        limits::place(request)
    }
}

/// Memory.
impl Session {
    /// Makes sure that there is room for so many bytes to say, or returns what must come first.
    ///
    /// The first answer of a batch that does not fit takes the room for the whole batch, whose answers leave together. So
    /// nobody who waits holds anything that others wait for.
    pub(super) fn make_room(&mut self, bytes: usize, unsent: Unsent) -> Result<(), Next> {
        let held = self.held(unsent);
        let Some(account) = &mut self.account else {
            return Ok(());
        };
        let mut needed = held + bytes;
        if needed <= account.granted() {
            return Ok(());
        }
        if let Some(most) = self.server.most_of_batch() {
            let before = unsent.owned + self.server.ready_output() + self.server.held_input();
            needed = before.saturating_add(most);
        }
        if account.grow_to(needed) {
            return Ok(());
        }
        let bytes = needed.saturating_sub(account.granted());
        Err(self.wait_for(bytes, None, unsent))
    }

    /// Takes room for an ordinary answer whose length is not known, if that is to be had at once.
    fn reach_out(&mut self, asked: &Asked<'_>) {
        let needed = self.held(asked.unsent) + asked.around() + FAIR_BUFFER;
        if let Some(account) = &mut self.account
            && self.server.most_of_batch().is_none()
        {
            // Without it, what fits into the share is answered here.
            let _ = account.grow_to(needed);
        }
    }

    /// The same for an answer that others may want as well. Returns the right to make it, unless it is to be copied: because
    /// it is short, or belongs into a batch.
    fn make_room_to_share(
        &mut self,
        bytes: usize,
        asked: &Asked<'_>,
    ) -> Result<Option<Granted>, Next> {
        let (question, account) = match (asked.question, &self.account) {
            (Some(question), Some(account))
                if bytes > self.left(asked) && self.server.most_of_batch().is_none() =>
            {
                (question, account)
            }
            _ => {
                self.make_room(asked.around() + bytes, asked.unsent)?;
                return Ok(None);
            }
        };
        if let Some(granted) = self.granted.take_if(|granted| {
            granted.question == question && account.suffices(&granted.room, bytes)
        }) {
            return Ok(Some(*granted));
        }
        if let Some(room) = account.take(bytes)
            && let Some(making) = asked.services.answers().begin(question)
        {
            return Ok(Some(Granted {
                question,
                room,
                making,
            }));
        }
        Err(self.wait_for(bytes, Some(question), asked.unsent))
    }

    /// Says what comes first when there is no room: whoever waits holds no more than its share.
    fn wait_for(&mut self, bytes: usize, question: Option<Question>, unsent: Unsent) -> Next {
        let has_room = self.account.as_ref().is_some_and(Account::has_room);
        if has_room && (unsent.all > 0 || self.server.ready_output() > 0) {
            return Next::Output;
        }
        self.wanted = Some(Box::new(Wanted { bytes, question }));
        Next::Room
    }

    /// Returns what the session waits for.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        self.wanted.as_deref().copied()
    }

    /// Gives the session the room that it waits for; `making` when that is for an answer that is shared.
    pub(crate) fn grant(&mut self, room: Room, making: Option<Making>) {
        let wanted = self.wanted.take();
        let question = wanted.and_then(|wanted| wanted.question);
        match (question, making, &mut self.account) {
            (Some(question), Some(making), _) => {
                self.granted = Some(Box::new(Granted {
                    question,
                    room,
                    making,
                }));
            }
            (_, _, Some(account)) => account.add(room),
            (_, _, None) => {}
        }
    }

    /// Waits no longer for room. Returns whether a request was waiting, which has an error for an answer now.
    pub(crate) fn stop_waiting(&mut self) -> bool {
        self.wanted = None;
        self.is_long = false;
        let Some((token, request)) = self.held.take() else {
            return false;
        };
        let message = format!(
            "the server has no memory for the answer to {} at the moment",
            request.method().name()
        );
        let error = ErrorObject::new(ErrorCode::SERVER_BUSY, message).with_retry_after(RETRY);
        self.server.reply(token, Err(error));
        true
    }

    /// Returns the memory that the session may use.
    pub(crate) fn account(&mut self) -> Option<&mut Account> {
        self.account.as_mut()
    }

    /// Returns how many bytes are held for this client alone.
    pub(crate) fn held(&self, unsent: Unsent) -> usize {
        unsent.owned + self.server.owned_output() + self.server.held_input()
    }

    /// Returns how many bytes the answer to a request may have without any room being made.
    fn left(&self, asked: &Asked<'_>) -> usize {
        self.account.as_ref().map_or(usize::MAX, |account| {
            let held = self.held(asked.unsent) + asked.around();
            account.granted().saturating_sub(held)
        })
    }
}

impl Asked<'_> {
    /// Returns how many bytes an answer takes besides its result, and an error altogether.
    fn around(&self) -> usize {
        SMALL + self.token.id_len()
    }
}

impl Granted {
    /// Lets others have the answer as well.
    fn share(self, bytes: Arc<[u8]>, sequence: u64, services: &Services) -> Arc<SharedAnswer> {
        let Self {
            question,
            room,
            making,
        } = self;
        let answer = SharedAnswer::new(bytes, room, services.metrics.clone());
        services.answers().share(question, sequence, &answer);
        drop(making);
        answer
    }
}

/// Returns the smaller of two limits.
fn at_most(limit: Option<usize>, other: usize) -> usize {
    limit.map_or(other, |limit| limit.min(other))
}

/// Returns how many outputs are listed in an answer.
fn outputs(response: &Response) -> usize {
    match response {
        Response::ScripthashListUnspent(unspent) | Response::AddressListUnspent(unspent) => {
            unspent.len()
        }
        Response::ScriptpubkeyListUnspent(unspent) => unspent.0.len(),
        _ => 0,
    }
}

/// When it is worth asking again, in seconds.
const RETRY: u32 = 60;
