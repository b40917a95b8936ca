//! The future that moves the bytes of a connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use ::tokio::sync::{mpsc, oneshot};
use ::tokio::time::{Instant, timeout, timeout_at};

use super::Client;
use super::conversation::Conversation;
use super::news::Everything;
use super::subscription::Feed;
use super::wire::{Reader, Wire, Writer};
use crate::client::{Event, ReplyError, UnexpectedMessage};
use crate::method::server::VersionResponse;
use crate::method::{Request, Response};
use crate::net::{Config, ConnectError, bearable, explained};
use crate::request_error::RequestError;

/// The connection of a [`Client`]: nothing moves unless it is polled.
///
/// Ends well when the last [`Client`] and the last [`Subscription`](super::Subscription) are dropped, and with an error
/// when the connection is lost. Dropping it closes the connection at once, whoever still waits: this is how to hang up on
/// purpose.
#[must_use = "nothing moves unless it is polled"]
pub struct Connection {
    running: Pin<Box<dyn Future<Output = Result<(), Arc<io::Error>>> + Send>>,
}

impl Future for Connection {
    type Output = Result<(), Arc<io::Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.running.as_mut().poll(context)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// What a handle wants.
#[derive(Debug)]
pub(super) enum Command {
    Ask(Question),
    /// In one array.
    AskAll(Vec<Question>),
    Subscribe(Question, Arc<Feed>),
    /// Somebody wants to hear about what was subscribed to by hand.
    Listen(Weak<Everything>),
    /// Nobody listens any more; with the request that tells the server, if there is one.
    Unsubscribe(Arc<Feed>, Option<Request>),
}

/// A request, and where its result goes.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) reply: Reply,
}

pub(super) type Reply = oneshot::Sender<Result<Response, RequestError>>;

/// Negotiates a version, and returns the handle with the connection.
pub(super) async fn introduce(
    wire: Wire,
    config: &Config,
    deadline: Instant,
) -> Result<(Client, Connection), ConnectError> {
    let address = || config.address.to_string();
    let (mut reader, mut writer) = wire.split();
    let mut protocol = crate::Client::new(config.max_line);
    let (_, introduction) = protocol.introduce(&config.client_name, config.versions);
    let negotiate = async {
        writer.write(&mut vec![introduction]).await?;
        loop {
            while let Some(event) = protocol.poll_event() {
                match event {
                    Event::Negotiated { result, .. } => return Ok(result),
                    Event::Unexpected(UnexpectedMessage::Complaint(error)) => {
                        return Ok(Err(ReplyError::Server(error)));
                    }
                    // Nothing else was asked for yet.
                    _ => {}
                }
            }
            protocol.receive(reader.read().await?);
        }
    };
    let server = match timeout_at(deadline, negotiate).await {
        Ok(Ok(Ok(server))) => server,
        Ok(Ok(Err(error))) => {
            let address = address();
            return Err(ConnectError::Negotiation { address, error });
        }
        Ok(Err(error)) => {
            let address = address();
            return Err(ConnectError::Closed { address, error });
        }
        Err(_) => return Err(ConnectError::TimedOut { address: address() }),
    };
    Ok(start(reader, writer, protocol, server, config))
}

fn start(
    reader: Reader,
    writer: Writer,
    protocol: crate::Client,
    server: VersionResponse,
    config: &Config,
) -> (Client, Connection) {
    let (commands, receiver) = mpsc::unbounded_channel();
    let (lines, queue) = mpsc::unbounded_channel();
    let lost = Arc::new(OnceLock::new());
    let conversation = Conversation::new(protocol, config, receiver, lines);
    let client = Client {
        commands,
        server: Arc::new(server),
        lost: lost.clone(),
        max_batch: config.max_batch.max(1),
    };
    let patience = bearable(config.request_timeout);
    let running = Box::pin(run(conversation, reader, writer, queue, patience, lost));
    (client, Connection { running })
}

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

async fn run(
    mut conversation: Conversation,
    mut reader: Reader,
    mut writer: Writer,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    patience: Duration,
    lost: Arc<OnceLock<Arc<io::Error>>>,
) -> Result<(), Arc<io::Error>> {
    let write = async {
        let mut lines = Vec::new();
        while queue.recv_many(&mut lines, MOST_LINES).await > 0 {
            // A server that does not read would let everything pile up that is asked. Then these were given up already.
            match timeout(patience, writer.write(&mut lines)).await {
                Ok(written) => written?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        writer.close().await
    };
    ::tokio::pin!(write);
    let result = ::tokio::select! {
        result = conversation.talk(&mut reader) => result,
        // It ends before the conversation only when it fails.
        result = &mut write => {
            if result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::TimedOut) {
                // What the server said before it went may not have been read yet, and why it did is the last of it.
                let _ = timeout(GOODBYE, conversation.talk(&mut reader)).await;
            }
            result
        }
    };
    let result = result.map_err(|error| {
        let error = Arc::new(explained(error, conversation.take_complaint()));
        // Set once, here.
        let _ = lost.set(error.clone());
        error
    });
    // What still waits for an answer finds its question dropped, and the reason in its place.
    drop(conversation);
    if result.is_ok() {
        // Whether the server hears the goodbye is its affair.
        let _ = timeout(GOODBYE, write).await;
    }
    result
}

/// How many lines are written at a time.
const MOST_LINES: usize = 64;
