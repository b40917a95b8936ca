//! A SOCKS5 proxy that has one server behind every name.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Listens for one client, wants a password, and tells for which name it was asked.
pub(crate) fn start(server: SocketAddr, password: &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, names) = channel();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut read = |count: usize| {
            let mut bytes = vec![0; count];
            client.read_exact(&mut bytes).map(|()| bytes)
        };
        assert_eq!(read(2).unwrap(), [5, 2]);
        assert!(read(2).unwrap().contains(&2), "a password is offered");
        client.write_all(&[5, 2]).unwrap();
        let mut version = [0];
        client.read_exact(&mut version).unwrap();
        let mut text = || {
            let mut length = [0];
            client.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; length[0].into()];
            client.read_exact(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!((text().as_str(), text().as_str()), ("u", password));
        client.write_all(&[1, 0]).unwrap();
        let mut head = [0; 5];
        client.read_exact(&mut head).unwrap();
        assert_eq!(head[..4], [5, 1, 0, 3]);
        let mut name = vec![0; usize::from(head[4]) + 2];
        client.read_exact(&mut name).unwrap();
        name.truncate(name.len() - 2);
        asked.send(String::from_utf8(name).unwrap()).unwrap();
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1]).unwrap();
        between(client, TcpStream::connect(server).unwrap());
    });
    (address, names)
}

/// Carries bytes in both directions.
fn between(client: TcpStream, server: TcpStream) {
    let carry = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        })
    };
    carry(client.try_clone().unwrap(), server.try_clone().unwrap());
    carry(server, client);
}
