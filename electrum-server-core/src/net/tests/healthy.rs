//! A client that means no harm, and what it takes to put others beside it.

use std::net::Ipv4Addr;
use std::time::Instant;

use tokio::net::TcpSocket;

use super::*;

/// Subnets of this machine, which are not exempt here.
pub(super) const HEALTHY: [u8; 3] = [127, 0, 7];
pub(super) const HOSTILE: [u8; 3] = [127, 0, 66];

pub(super) fn limits() -> Limits {
    Limits {
        exempt: Vec::new(),
        ..Limits::default()
    }
}

pub(super) async fn connect_from(subnet: [u8; 3], to: SocketAddr) -> TcpStream {
    let [a, b, c] = subnet;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(a, b, c, 1), 0).into()).unwrap();
    within(socket.connect(to)).await.unwrap()
}

/// A client that asks something every two milliseconds.
pub(super) struct Healthy {
    stop: oneshot::Sender<()>,
    times: JoinHandle<Vec<Duration>>,
}

impl Healthy {
    pub(super) async fn start(to: SocketAddr) -> Self {
        let mut stream = connect_from(HEALTHY, to).await;
        let (stop, mut stopped) = oneshot::channel();
        let times = tokio::spawn(async move {
            let mut times = Vec::new();
            let ask = format!(
                "{{\"id\":0,\"method\":\"blockchain.scripthash.get_balance\",\"params\":[\"{}\"]}}\n",
                script_hash(1)
            );
            while stopped.try_recv().is_err() {
                let begun = Instant::now();
                stream.write_all(ask.as_bytes()).await.unwrap();
                let answer = read_line(&mut stream).await;
                assert!(answer.contains("\"confirmed\""), "{answer}");
                times.push(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            times
        });
        Self { stop, times }
    }

    /// The time within which 99 of 100 answers came must be short.
    pub(super) async fn was_served_well(self) {
        let _ = self.stop.send(());
        let mut times = within(self.times).await.unwrap();
        times.sort();
        let p99 = times[times.len() * 99 / 100 - usize::from(times.len() == 1)];
        // A test runs on a thread of its name.
        let thread = std::thread::current();
        let attack = thread.name().and_then(|name| name.rsplit("::").next());
        let attack = attack.unwrap_or_default();
        eprintln!("{attack}: p99 of {} answers is {p99:?}", times.len());
        assert!(p99 < Duration::from_secs(1), "{p99:?}");
    }
}

/// Waits until something holds.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn code(line: &str) -> Option<i32> {
    let (_, rest) = line.split_once("\"code\":")?;
    rest.split([',', '}']).next()?.parse().ok()
}
