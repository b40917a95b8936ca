//! Servers that are proposed, found and lost.

use super::*;

fn ports() -> HostPorts {
    HostPorts {
        ssl_port: Some(50002),
        ..HostPorts::default()
    }
}

fn found(ip: &str) -> Found {
    Found {
        ip: Some(ip.parse().unwrap()),
        ports: ports(),
        version: "1.4".to_owned(),
    }
}

fn book() -> Book {
    Book::new(BTreeMap::from([("me.example.org".to_owned(), ports())]))
}

#[test]
fn a_server_is_named_after_it_was_found_and_until_it_is_stale() {
    let (mut book, start) = (book(), Instant::now());
    assert!(book.propose("One.Example.Com.", ports(), Source::Operator, start));
    assert_eq!(book.list(false, start), []);
    let visit = book.due(start).unwrap();
    assert_eq!(visit.host, "one.example.com");
    assert_eq!(book.due(start), None, "it is being visited");
    book.succeeded(&visit.host, found("198.51.100.1"), start);
    let peer = Peer {
        ip: "198.51.100.1".to_owned(),
        host: "one.example.com".to_owned(),
        features: vec!["v1.4".to_owned(), "s50002".to_owned()],
    };
    assert_eq!(book.list(false, start), std::slice::from_ref(&peer));
    assert_eq!(ports_of(&peer), ports());
    assert_eq!(book.count(start), (1, 1));
    assert!(
        book.due(start + STALE / 2).is_some(),
        "it is visited in time"
    );
    assert_eq!(book.list(false, start + STALE), []);
}

#[test]
fn servers_that_cannot_be_found_are_forgotten() {
    let (mut book, start) = (book(), Instant::now());
    book.propose("never.example.com", ports(), Source::Peer, start);
    book.propose("once.example.net", ports(), Source::Peer, start);
    book.succeeded("once.example.net", found("198.51.100.1"), start);
    for _ in 0..2 {
        book.failed("never.example.com", false, start);
        book.failed("once.example.net", false, start);
    }
    assert_eq!(book.count(start).0, 2);
    book.failed("never.example.com", false, start);
    assert_eq!(book.count(start).0, 1);
    for _ in 0..8 {
        book.failed("once.example.net", false, start);
    }
    assert_eq!(book.count(start).0, 0);
    // A liar was never good.
    book.propose("liar.example.com", ports(), Source::Peer, start);
    book.succeeded("liar.example.com", found("198.51.100.1"), start);
    book.failed("liar.example.com", true, start);
    assert_eq!(book.list(false, start), []);
}

#[test]
fn pauses_grow_with_failures() {
    let (mut book, start) = (book(), Instant::now());
    book.propose("a.example.com", ports(), Source::Peer, start);
    book.due(start).unwrap();
    book.failed("a.example.com", false, start);
    assert!(book.due(start + RETRY - Duration::from_secs(1)).is_none());
    assert!(book.due(start + RETRY).is_some());
    book.failed("a.example.com", false, start);
    assert!(book.due(start + RETRY).is_none());
    assert!(book.due(start + RETRY * 2).is_some());
}

#[test]
fn nobody_else_says_where_a_server_is_that_was_found() {
    let (mut book, start) = (book(), Instant::now());
    let moved = HostPorts {
        ssl_port: Some(443),
        ..HostPorts::default()
    };
    for (host, ip) in [("a.example.com", Some("198.51.100.1")), ("b.onion", None)] {
        let ip: Option<IpAddr> = ip.map(|ip| ip.parse().unwrap());
        book.propose(host, ports(), Source::Peer, start);
        let found = Found {
            ip,
            ..found("198.51.100.1")
        };
        book.due(start).unwrap();
        book.succeeded(host, found, start);
        book.failed(host, false, start);
        let later = start + SAME_DOMAIN;
        book.failed(host, false, later);
        let stranger: Option<IpAddr> = Some("203.0.113.1".parse().unwrap());
        for source in [Source::Itself(stranger), Source::Itself(None), Source::Peer] {
            book.propose(host, moved, source, later);
            assert_eq!(book.due(later), None, "{source:?}");
        }
        if ip.is_some() {
            book.propose(host, moved, Source::Itself(ip), later);
            assert_eq!(book.due(later).unwrap().ports, moved);
        }
    }
}

#[test]
fn names_that_cannot_be_servers_are_refused() {
    let (mut book, now) = (book(), Instant::now());
    let mut propose = |host: &str| book.propose(host, ports(), Source::Peer, now);
    for host in [
        "",
        "localhost",
        "10.0.0.1",
        "127.0.0.1",
        "::1",
        "fe80::1",
        "100.64.0.1",
        "a b.com",
        "-a.com",
        "a..com",
        "me.example.org",
        "ME.example.org",
        "exa_mple.com",
    ] {
        assert!(!propose(host), "{host}");
    }
    for host in ["8.8.8.8", "2001:db8::1", "a-b.example.com"] {
        assert!(propose(host), "{host}");
    }
    assert!(!book.propose("x.example.com", HostPorts::default(), Source::Peer, now));
}

#[test]
fn nobody_fills_the_list() {
    let (mut book, start) = (book(), Instant::now());
    for number in 0..20 {
        let host = format!("s{number}.example{number}.com");
        assert!(book.propose(&host, ports(), Source::Peer, start));
        let ip = format!("198.51.{number}.1");
        book.succeeded(&host, found(&ip), start);
        let onion = format!("{number}abc.onion");
        assert!(book.propose(&onion, ports(), Source::Peer, start));
        let hidden = Found {
            ip: None,
            ..found("::1")
        };
        book.succeeded(&onion, hidden, start);
    }
    let list = book.list(false, start);
    let onions = |list: &[Peer]| list.iter().filter(|peer| is_onion(&peer.host)).count();
    assert_eq!(onions(&list), 10);
    assert_eq!(list.len(), 2 + 10);
    assert_eq!(onions(&book.list(true, start)), 20);
    // One domain names itself no more than once in a while, and one onion service at a time.
    let ip: Option<IpAddr> = Some("203.0.113.1".parse().unwrap());
    let mut itself = |host: &str, now| book.propose(host, ports(), Source::Itself(ip), now);
    assert!(itself("a.many.org", start));
    assert!(!itself("b.many.org", start));
    assert!(itself("b.many.org", start + SAME_DOMAIN));
    assert!(itself("one.onion", start));
    assert!(!itself("two.onion", start));
    assert!(itself("two.onion", start + ONION));
    let visit =
        std::iter::from_fn(|| book.due(start + ONION)).find(|visit| visit.host == "a.many.org");
    assert_eq!(visit.unwrap().claimed_by, ip);
}

#[test]
fn the_number_of_servers_is_bounded() {
    let (mut book, now) = (book(), Instant::now());
    for number in 0..MAX_ENTRIES {
        assert!(book.propose(
            &format!("s{number}.example.com"),
            ports(),
            Source::Peer,
            now
        ));
    }
    assert!(!book.propose("more.example.com", ports(), Source::Peer, now));
}
