//! A client for tokio: a handle, which may be cloned, and the future that moves the bytes.
//!
//! ```no_run
//! use electrum_protocol::method::{headers, scripthash};
//! use electrum_protocol::net::Config;
//! use electrum_protocol::{ScriptHash, tokio as electrum};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new("tcp://127.0.0.1:50001".parse()?);
//! let (client, connection) = electrum::connect(&config).await?;
//! tokio::spawn(connection);
//!
//! let script_hash = ScriptHash::from_byte_array([0; 32]);
//! let balance = client.request(scripthash::GetBalance { script_hash }).await?;
//! println!("{} confirmed", balance.confirmed);
//!
//! let mut tips = client.subscribe(headers::Subscribe::RAW).await?;
//! println!("at height {}", tips.first().height);
//! while let Some(tip) = tips.next().await {
//!     println!("at height {}", tip.height);
//! }
//! # Ok(())
//! # }
//! ```

//! The runtime must have time and I/O enabled (`enable_all`); without them tokio panics. [`connect_over`] needs time only.
//!
//! Every future of this module may be dropped at any time, as `select!` and timeouts do: one that connects hangs up, one
//! that asks takes nothing back, one that subscribes ends the subscription, and of [`Subscription::next`] nothing is lost.
//! To subscribe to many things, poll all these futures at once (`join_all`), or send a [`Batch`] and listen to
//! [`Client::news`]. Whatever ends the
//! connection, and be it that [`Connection`] is dropped, ends all of them.

mod connection;
mod conversation;
mod dial;
mod news;
mod subscription;
mod wire;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::sync::{mpsc, oneshot};
use ::tokio::task::unconstrained;
use ::tokio::time::{Instant, timeout_at};

use crate::batch::{Batch, Replies};
use crate::method::server::VersionResponse;
use crate::method::{Call, Request, Response};
use crate::net::{Config, ConnectError, bearable};
use crate::request_error::RequestError;
use crate::subscription::Subscribe;
use crate::version::ProtocolVersion;
pub use connection::Connection;
use connection::{Command, Question};
pub use news::News;
pub use subscription::Subscription;
use wire::Wire;

/// Connects to a server and negotiates a version.
///
/// Nothing of the [`Client`] moves unless the [`Connection`] is polled: spawn it.
///
/// # Errors
///
/// When there is no way to the server, or none in which both can speak; [`ConnectError::is_transient`] says whether it is
/// worth another try.
pub async fn connect(config: &Config) -> Result<(Client, Connection), ConnectError> {
    let deadline = after(config.connect_timeout);
    negotiated(dial::dial(config, deadline), config, deadline).await
}

/// Connects over a stream of the caller's that leads to the address of `config`: a tunnel, a circuit of Tor, a unix socket
/// that stands for `tcp://`. TLS and a WebSocket are laid over it if the address has them; its proxy is not asked.
///
/// # Errors
///
/// As [`connect`].
pub async fn connect_over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    config: &Config,
) -> Result<(Client, Connection), ConnectError> {
    let deadline = after(config.connect_timeout);
    negotiated(dial::layers(Box::new(stream), config), config, deadline).await
}

/// Returns when a time from now on is over.
fn after(time: Duration) -> Instant {
    Instant::now() + bearable(time)
}

async fn negotiated(
    dial: impl Future<Output = Result<Wire, ConnectError>>,
    config: &Config,
    deadline: Instant,
) -> Result<(Client, Connection), ConnectError> {
    match timeout_at(deadline, dial).await {
        Ok(wire) => connection::introduce(wire?, config, deadline).await,
        Err(_) => Err(ConnectError::TimedOut {
            address: config.address.to_string(),
        }),
    }
}

/// A handle of a connection to a server. All its clones share the connection, which ends with the last of them and of
/// their [`Subscription`]s.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::UnboundedSender<Command>,
    server: Arc<VersionResponse>,
    /// Why the connection ended.
    lost: Arc<OnceLock<Arc<io::Error>>>,
    max_batch: usize,
}

impl Client {
    /// Asks for something, and waits for the result. A future that is dropped takes nothing back.
    ///
    /// # Errors
    ///
    /// When the server refuses, or does not answer; see [`RequestError::is_transient`].
    pub async fn request<C: Call>(&self, call: C) -> Result<C::Response, RequestError> {
        let response = self.send(call.into()).await?;
        C::unwrap(response).ok_or(RequestError::NotInBatch { method: C::METHOD })
    }

    /// Asks for something whose method is known at run time only. What a subscription that is asked for in this way tells
    /// later comes out of [`news`](Self::news).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub async fn send(&self, request: Request) -> Result<Response, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Ask(Question { request, reply }));
        self.awaited(answer).await
    }

    /// Asks for several things at once, and waits for all results. What is wrong with one request stands in its place.
    ///
    /// They go out in arrays of [`Config::max_batch`], all at once, and together have the time of one request.
    pub async fn batch(&self, batch: Batch) -> Replies {
        let mut answers = Vec::with_capacity(batch.len());
        for requests in batch.requests().chunks(self.max_batch) {
            let questions = requests.iter().map(|request| {
                let (reply, answer) = oneshot::channel();
                answers.push(answer);
                let request = request.clone();
                Question { request, reply }
            });
            let questions = questions.collect();
            self.command(Command::AskAll(questions));
        }
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(self.awaited(answer).await);
        }
        results.into_iter().collect()
    }

    /// Subscribes, and returns how things stand together with what changes later.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub async fn subscribe<S: Subscribe>(
        &self,
        call: S,
    ) -> Result<Subscription<S::Update>, RequestError> {
        let (reply, answer) = oneshot::channel();
        let ending = call.unsubscribe(self.version());
        let feed = subscription::Feed::new(call.topic());
        // From here on it is registered, and taken back when this future is dropped.
        let guard = subscription::Guard::new(feed.clone(), ending, self.commands.clone());
        let request = call.into();
        self.command(Command::Subscribe(Question { request, reply }, feed));
        let response = self.awaited(answer).await?;
        let first = S::unwrap(response).ok_or(RequestError::NotInBatch { method: S::METHOD })?;
        Ok(Subscription::new(S::first(first), S::update, guard))
    }

    /// Returns what is told from now on about everything that was subscribed to with [`send`](Self::send) or
    /// [`batch`](Self::batch).
    pub fn news(&self) -> News {
        let feed: Arc<news::Everything> = Arc::default();
        let listen = Command::Listen(Arc::downgrade(&feed));
        if self.commands.send(listen).is_err() {
            feed.end();
        }
        News::new(feed, self.commands.clone())
    }

    /// Returns the protocol version of the session.
    pub fn version(&self) -> ProtocolVersion {
        self.server.protocol_version
    }

    /// Returns the name and version of the server's software. Text of a stranger.
    pub fn software(&self) -> &str {
        &self.server.software
    }

    /// Waits until the connection is lost. Returns at once when it is already.
    pub async fn closed(&self) {
        self.commands.closed().await;
    }

    /// Hands something to the connection. When it is gone, so is what waits for the answer, which says so.
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    async fn awaited(&self, answer: Answer) -> Result<Response, RequestError> {
        // Who waits for thousands of answers at once (`join_all`) would else be told by tokio, after each 128 of them, that
        // all others are not there, and ask for all again. What is not answered when the connection ends is dropped.
        unconstrained(answer).await.unwrap_or_else(|_| {
            let dropped = || Arc::new(io::Error::other("the connection was dropped"));
            let error = self.lost.get().cloned().unwrap_or_else(dropped);
            Err(RequestError::Disconnected(error))
        })
    }
}

type Answer = oneshot::Receiver<Result<Response, RequestError>>;
