//! Servers that find each other on this machine.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::net::{Certificate, Listener, serve, updates};
use crate::session::tests::Stage;
use crate::session::{About, Limits};

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A server that says that it is `localhost.localdomain`, or some other name.
struct Server {
    services: Arc<Services>,
    peers: Arc<Peers>,
    ports: HostPorts,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Server {
    async fn start(host: &str, chain: u8, first: Vec<(String, HostPorts)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("c"), dir.path().join("k"));
        Certificate::make_once(&cert, &key, Vec::new()).unwrap();
        let certificate = Arc::new(Certificate::load(&cert, &key).unwrap());
        let socket = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let ports = HostPorts {
            ssl_port: Some(socket.local_addr().unwrap().port()),
            ..HostPorts::default()
        };
        let hosts = BTreeMap::from([(host.to_owned(), ports)]);
        let about = About {
            hosts: hosts.clone(),
            ..About::default()
        };
        let mut stage = Stage::with(about, Limits::default());
        for _ in 0..10 {
            stage.mine(chain, &[]);
        }
        let options = PeerOptions {
            announce: true,
            tor_proxy: None,
            private_too: true,
            first,
        };
        let peers = Arc::new(Peers::new(options, hosts));
        let services = Arc::into_inner(stage.services).unwrap();
        let services = Arc::new(services.with_peers(peers.clone()));
        let listeners = vec![Listener::from(socket).with_tls(certificate)];
        let forever = std::future::pending();
        let serving = serve(listeners, services.clone(), updates(), forever);
        let tasks = vec![
            tokio::spawn(async move { drop(serving.await) }),
            tokio::spawn(peers.clone().run(services.clone())),
        ];
        Self {
            services,
            peers,
            ports,
            tasks,
            _dir: dir,
        }
    }

    fn named(&self) -> Vec<String> {
        let peers = self.peers.peers(None).into_iter();
        peers.map(|peer| peer.host).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

// Names that lead to this machine on every system are few: `localhost` has no dot. Addresses have.
#[tokio::test]
async fn servers_find_each_other_and_leave_out_those_of_another_chain() {
    let one = Server::start("127.0.0.1", 1, Vec::new()).await;
    // A loopback address is refused where it is not the operator's word.
    assert!(
        !one.peers
            .propose(&one.services.features(&one.services.view()), None)
    );

    let target = book::Visit {
        host: "127.0.0.1".to_owned(),
        ports: one.ports,
        claimed_by: None,
    };
    let visit = async |target: &book::Visit, chain: u8| {
        let other = Server::start("other.example.org", chain, Vec::new()).await;
        let view = other.services.view();
        let own = other.services.features(&view);
        let versions = other.services.about.versions;
        let options = PeerOptions {
            announce: false,
            ..other.peers.options.clone()
        };
        timeout(
            PATIENCE,
            visit::visit(target, &options, &own, versions, &view),
        )
        .await
        .unwrap()
    };
    let (found, others) = visit(&target, 1).await.unwrap();
    assert_eq!(found.ip, Some([127, 0, 0, 1].into()));
    assert_eq!(found.ports, one.ports);
    assert_eq!(found.version, one.services.about.versions.max.to_string());
    assert_eq!(others, []);

    let error = visit(&target, 2).await.unwrap_err();
    assert!(error.is_lie(), "{error}");
    let elsewhere = book::Visit {
        claimed_by: Some([198, 51, 100, 1].into()),
        ..target.clone()
    };
    let error = visit(&elsewhere, 1).await.unwrap_err();
    assert!(error.is_lie(), "{error}");
    // It does not know itself by this name.
    let renamed = book::Visit {
        host: "127.0.0.2".to_owned(),
        ..target.clone()
    };
    let error = visit(&renamed, 1).await.unwrap_err();
    assert!(error.is_lie(), "{error}");
    let closed = book::Visit {
        ports: HostPorts {
            tcp_port: Some(1),
            ..HostPorts::default()
        },
        ..target
    };
    let error = visit(&closed, 1).await.unwrap_err();
    assert!(!error.is_lie(), "{error}");
}

/// A SOCKS5 proxy that connects everybody to one address, whatever name is asked for. Returns what was asked for.
async fn proxy(to: SocketAddr) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut greeting = [0; 3];
        client.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting, [5, 1, 0]);
        client.write_all(&[5, 0]).await.unwrap();
        let mut head = [0; 5];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(head[..4], [5, 1, 0, 3]);
        let mut name = vec![0; usize::from(head[4]) + 2];
        client.read_exact(&mut name).await.unwrap();
        client
            .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
            .await
            .unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        name.truncate(name.len() - 2);
        String::from_utf8(name).unwrap()
    });
    (address, task)
}

#[tokio::test]
async fn onion_services_are_found_through_the_proxy_and_named() {
    let hidden = Server::start("abcdefgh.onion", 1, Vec::new()).await;
    let address = ([127, 0, 0, 1], hidden.ports.ssl_port.unwrap()).into();
    let (tor, asked) = proxy(address).await;
    let first = vec![("abcdefgh.onion".to_owned(), hidden.ports)];
    let seeker = Server::start("seeker.example.org", 1, Vec::new()).await;
    let options = PeerOptions {
        announce: true,
        tor_proxy: Some(tor),
        private_too: true,
        first,
    };
    let peers = Arc::new(Peers::new(options, seeker.services.about.hosts.clone()));
    let running = tokio::spawn(peers.clone().run(seeker.services.clone()));
    until("it is found", || peers.count() == (1, 1)).await;
    running.abort();
    let named = peers.peers(None);
    assert_eq!(named[0].host, "abcdefgh.onion");
    assert_eq!(named[0].ip, "abcdefgh.onion");
    // The seeker named itself there; its name leads nowhere, so it is not named on.
    assert_eq!(hidden.peers.count().0, 1);
    assert_eq!(hidden.named(), Vec::<String>::new());
    assert_eq!(asked.await.unwrap(), "abcdefgh.onion");
}

#[tokio::test]
async fn without_a_proxy_onion_services_are_left_out() {
    let seeker = Server::start("seeker.example.org", 1, Vec::new()).await;
    let view = seeker.services.view();
    let own = seeker.services.features(&view);
    let target = book::Visit {
        host: "abcdefgh.onion".to_owned(),
        ports: seeker.ports,
        claimed_by: None,
    };
    let versions = seeker.services.about.versions;
    let error = visit::visit(&target, &seeker.peers.options, &own, versions, &view)
        .await
        .unwrap_err();
    assert!(!error.is_lie(), "{error}");
}
