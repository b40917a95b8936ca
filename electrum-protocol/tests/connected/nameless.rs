//! Answers that name no request: it is found out whose they are where that can be, and nobody waits in vain.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use electrum_protocol::method::server;
use electrum_protocol::net::ConnectError;
use electrum_protocol::{Batch, ErrorCode, Request, RequestError, blocking, tokio as asynchronous};

use crate::config;
use crate::hostile::{answering, play};

/// What servers say of a message that they do not read: an array that is too long for them, or a line.
const UNREAD: &str =
    "{\"id\":null,\"error\":{\"code\":-32600,\"message\":\"batch too large (over 1 messages)\"}}\n";

fn batch(len: usize) -> Batch {
    vec![Request::from(server::Banner); len]
        .into_iter()
        .collect()
}

fn is_unread(error: &RequestError) -> bool {
    let code = error.server_error().map(|error| error.code);
    matches!(error, RequestError::Server(_)) && code == Some(ErrorCode::INVALID_REQUEST)
}

#[tokio::test]
async fn what_the_server_does_not_read_is_refused() {
    let mut config = config(&answering(|_| UNREAD.to_owned()).to_string());
    config.max_batch = 2;
    let (client, connection) = asynchronous::connect(&config).await.unwrap();
    tokio::spawn(connection);
    let error = client.request(server::Banner).await.unwrap_err();
    assert!(is_unread(&error) && !error.is_transient(), "{error}");
    // Three arrays are under way at once.
    let results: Vec<_> = client.batch(batch(5)).await.into_iter().collect();
    assert_eq!(results.len(), 5);
    for result in results {
        let error = result.unwrap_err();
        assert!(is_unread(&error), "{error}");
    }
    let waiting = tokio::task::spawn_blocking(move || {
        let mut client = blocking::connect(&config).unwrap();
        let error = client.request(server::Banner).unwrap_err();
        assert!(is_unread(&error), "{error}");
        for result in client.batch(batch(5)).unwrap() {
            let error = result.unwrap_err();
            assert!(is_unread(&error), "{error}");
        }
    });
    waiting.await.unwrap();
}

#[tokio::test]
async fn it_is_the_answer_of_the_one_that_is_left() {
    // The first waits for the second, which is not read, and whether that comes before or after is no matter.
    for refused_first in [true, false] {
        let address = answering(move |number| match (number, refused_first) {
            (1, _) => String::new(),
            (_, true) => format!("{UNREAD}{{\"id\":1,\"result\":\"hello\"}}\n"),
            (_, false) => format!("{{\"id\":1,\"result\":\"hello\"}}\n{UNREAD}"),
        });
        let (client, connection) = asynchronous::connect(&config(&address.to_string()))
            .await
            .unwrap();
        tokio::spawn(connection);
        let (first, second) = tokio::join!(client.request(server::Banner), client.batch(batch(2)));
        assert_eq!(first.unwrap(), "hello");
        for result in second {
            let error = result.unwrap_err();
            assert!(is_unread(&error), "{error}");
        }
    }
}

#[tokio::test]
async fn other_complaints_answer_nothing() {
    let address = answering(|number| {
        format!(
            "{{\"id\":null,\"error\":{{\"code\":-101,\"message\":\"slower\"}}}}\n\
             {{\"id\":{number},\"result\":\"hello\"}}\n"
        )
    });
    let config = config(&address.to_string());
    let (client, connection) = asynchronous::connect(&config).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(client.request(server::Banner).await.unwrap(), "hello");
    let waiting = tokio::task::spawn_blocking(move || {
        let mut client = blocking::connect(&config).unwrap();
        assert_eq!(client.request(server::Banner).unwrap(), "hello");
    });
    waiting.await.unwrap();
}

#[tokio::test]
async fn an_array_that_is_too_long_is_so_for_all_in_it() {
    let address = answering(|_| format!("[{}]\n", "1,".repeat(1000)));
    let mut config = config(&address.to_string());
    config.max_line = 1000;
    let (client, connection) = asynchronous::connect(&config).await.unwrap();
    tokio::spawn(connection);
    let too_long = |results: Vec<Result<_, RequestError>>| {
        assert_eq!(results.len(), 3);
        for result in results {
            let error = result.map(|_| ()).unwrap_err();
            assert!(
                matches!(error, RequestError::TooLong { max: 1000 }),
                "{error}"
            );
        }
    };
    too_long(client.batch(batch(3)).await.into_iter().collect());
    let waiting = tokio::task::spawn_blocking(move || {
        let mut client = blocking::connect(&config).unwrap();
        too_long(client.batch(batch(3)).unwrap().into_iter().collect());
    });
    waiting.await.unwrap();
}

/// What a server says that has no room.
const FULL: &str = "{\"id\":null,\"error\":{\"code\":-101,\"message\":\"too many connections\",\
                    \"data\":{\"retry_after\":60}}}\n";

#[tokio::test]
async fn who_is_refused_at_the_door_hears_when_to_come_back() {
    // Whether the server closes then, or waits for its guest to go.
    for closes in [true, false] {
        let address = play(move |mut stream| {
            stream.write_all(FULL.as_bytes())?;
            while !closes && stream.read(&mut [0; 1000])? > 0 {}
            Ok(())
        });
        for error in crate::hostile::refused(&config(&address.to_string())).await {
            assert!(error.is_transient(), "{error}");
            assert!(matches!(error, ConnectError::Negotiation { .. }), "{error}");
            let said = error.server_error().unwrap();
            assert_eq!(said.retry_after(), Some(Duration::from_secs(60)));
        }
    }
}

#[tokio::test]
async fn who_is_sent_away_hears_when_to_come_back() {
    let address = play(|mut stream| {
        let _ = stream.read(&mut [0; 1000])?;
        let welcome = String::from_utf8_lossy(crate::hostile::WELCOME).into_owned();
        stream.write_all((welcome + FULL).as_bytes())
    });
    let hears = |error: RequestError| {
        assert!(matches!(error, RequestError::Disconnected(_)), "{error}");
        let said = error.server_error().unwrap();
        assert_eq!(said.retry_after(), Some(Duration::from_secs(60)));
    };
    let config = config(&address.to_string());
    let (client, connection) = asynchronous::connect(&config).await.unwrap();
    tokio::spawn(connection);
    hears(client.request(server::Banner).await.unwrap_err());
    let waiting = tokio::task::spawn_blocking(move || {
        let mut client = blocking::connect(&config).unwrap();
        hears(client.request(server::Banner).unwrap_err());
    });
    waiting.await.unwrap();
}

/// A server that welcomes, and is gone when the first request comes; what it said before is there to be read.
#[derive(Default)]
struct Gone {
    writes: usize,
    reads: usize,
    reader: Option<Waker>,
}

impl Gone {
    /// What is read next, if it is there already.
    fn said(&mut self) -> Option<&'static [u8]> {
        if self.reads == 1 && self.writes < 2 {
            return None;
        }
        self.reads += 1;
        Some(match self.reads {
            1 => crate::hostile::WELCOME,
            2 => FULL.as_bytes(),
            _ => b"",
        })
    }
}

impl Read for Gone {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let said = self.said().ok_or(io::ErrorKind::WouldBlock)?;
        buffer[..said.len()].copy_from_slice(said);
        Ok(said.len())
    }
}

impl Write for Gone {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        match self.writes {
            1 => Ok(buffer.len()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Gone {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reader = Some(context.waker().clone());
        let Some(said) = self.said() else {
            return Poll::Pending;
        };
        buffer.put_slice(said);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gone {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.write(buffer);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn who_writes_to_nobody_hears_what_was_said_before() {
    let config = config("tcp://example.org:1");
    let hears = |error: RequestError| {
        let RequestError::Disconnected(lost) = &error else {
            panic!("{error}");
        };
        assert_eq!(lost.kind(), io::ErrorKind::BrokenPipe);
        let said = error.server_error().unwrap();
        assert_eq!(said.retry_after(), Some(Duration::from_secs(60)));
    };
    let connected = asynchronous::connect_over(Gone::default(), &config).await;
    let (client, connection) = connected.unwrap();
    tokio::spawn(connection);
    hears(client.request(server::Banner).await.unwrap_err());
    let mut client = blocking::connect_over(Gone::default(), &config).unwrap();
    hears(client.request(server::Banner).unwrap_err());
}
