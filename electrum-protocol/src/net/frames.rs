//! Messages of a WebSocket: one of ours is one of its.

use std::io;

use tungstenite::Message;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Request;
use tungstenite::protocol::WebSocketConfig;

use super::address::ServerAddress;
use super::error::ConnectError;

/// How much is read at a time. A session is small talk.
const READ_BUFFER: usize = 16 * 1024;

/// How much may wait until the server reads. Without a limit one that sends pings and does not read the pongs would fill
/// the memory with them. No message of ours may be longer: this is several blocks in hexadecimal.
const MAX_UNSENT: usize = 64 * 1024 * 1024;

/// Returns what to ask a server for, and what to put up with.
pub(crate) fn opening(
    address: &ServerAddress,
    max_message: usize,
) -> Result<(Request, WebSocketConfig), ConnectError> {
    let request = address
        .to_string()
        .into_client_request()
        .map_err(|error| refused(address, &error))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_write_buffer_size(MAX_UNSENT)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    Ok((request, config))
}

/// Says why there is no WebSocket.
pub(crate) fn refused(address: &ServerAddress, error: &tungstenite::Error) -> ConnectError {
    ConnectError::WebSocket {
        address: address.to_string(),
        reason: error.to_string(),
    }
}

/// Makes a message of a line.
pub(crate) fn message(mut line: Vec<u8>) -> Message {
    // What this crate writes is ASCII but for the client's own name, which is text as well.
    line.truncate(line.trim_ascii_end().len());
    match String::from_utf8(line) {
        Ok(text) => Message::text(text),
        Err(error) => Message::binary(error.into_bytes()),
    }
}

/// Returns what a message says. What only keeps the connection alive says nothing.
///
/// # Errors
///
/// When it ends the conversation: with the reason, which is text of a stranger, if there is one.
pub(crate) fn content(message: &Message) -> io::Result<&[u8]> {
    match message {
        Message::Text(text) => Ok(text.as_bytes()),
        Message::Binary(bytes) => Ok(bytes),
        Message::Close(Some(frame)) if !frame.reason.is_empty() => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            frame.reason.to_string(),
        )),
        Message::Close(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(&[]),
    }
}

/// What a broken WebSocket is below.
pub(crate) fn io_error(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            io::ErrorKind::UnexpectedEof.into()
        }
        error => io::Error::new(io::ErrorKind::InvalidData, error.to_string()),
    }
}
