//! The client for tokio.

use std::sync::Arc;
use std::time::Duration;

use electrum_protocol::method::{headers, mempool, scripthash, server};
use electrum_protocol::net::socks5::{Credentials, Proxy};
use electrum_protocol::net::tls::{Pins, Trust};
use electrum_protocol::net::{ConnectError, Transport};
use electrum_protocol::tokio::{Client, connect, connect_over};
use electrum_protocol::{
    Batch, Notification, ProtocolVersion, Request, RequestError, Response, ScriptHash, VersionRange,
};

use crate::server::{Identity, rustls_versions, start, start_tls};
use crate::{common, config, proxy};

/// Does what a wallet does.
async fn converse(client: &Client) {
    assert_eq!(client.version(), ProtocolVersion::V1_6);
    assert!(client.software().starts_with("electrum-protocol "));
    let mut tips = client.subscribe(headers::Subscribe::RAW).await.unwrap();
    assert_eq!(*tips.first(), common::tip());
    let script_hash = ScriptHash::from_byte_array([1; 32]);
    let subscribe = scripthash::Subscribe { script_hash };
    let mut statuses = client.subscribe(subscribe).await.unwrap();
    let second = client.subscribe(subscribe).await.unwrap();
    assert_eq!(*statuses.first(), common::example_status());

    // News comes to all who listen, the last when several came.
    client.request(server::DonationAddress).await.unwrap();
    while tips.next().await.unwrap().height != 2 {}
    assert_eq!(statuses.next().await, Some(None));
    // It goes on while one of two listens.
    drop(second);
    client.request(server::DonationAddress).await.unwrap();
    assert_eq!(statuses.next().await, Some(None));

    let mut batch = Batch::new();
    let banner = batch.add(server::Banner);
    let refused = batch.add(mempool::GetFeeHistogram);
    for _ in 0..250 {
        batch.push(Request::from(server::Banner));
    }
    let mut replies = client.batch(batch).await;
    assert_eq!(replies.take(banner).unwrap(), common::BANNER);
    assert!(replies.take(refused).unwrap_err().is_transient());
    let rest: Vec<_> = replies.into_iter().map(Result::unwrap).collect();
    assert_eq!(
        rest,
        vec![Response::ServerBanner(common::BANNER.into()); 250]
    );

    // The end comes with what the server says about it, to everybody.
    let other = client.clone();
    let waiting = tokio::spawn(async move { other.request(mempool::GetInfo).await });
    tokio::task::yield_now().await;
    let error = client.request(server::PeersSubscribe).await.unwrap_err();
    assert!(error.to_string().contains("too much"), "{error}");
    assert!(matches!(error, RequestError::Disconnected(_)) && error.is_transient());
    let error = waiting.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("too much"), "{error}");
    while tips.next().await.is_some() {}
    assert_eq!(statuses.next().await, None);
    client.closed().await;
    let again = client.request(server::Banner).await.unwrap_err();
    assert!(again.to_string().contains("too much"), "{again}");
}

#[tokio::test]
async fn it_converses_over_every_transport() {
    for transport in [
        Transport::Tcp,
        Transport::WebSocket,
        Transport::Tls,
        Transport::SecureWebSocket,
    ] {
        let address = match transport.is_tls() {
            false => start(transport),
            true => start_tls(transport, Identity::new(&["localhost"]), rustls_versions()),
        };
        let mut config = config(&format!("{}://{address}", transport.scheme()));
        config.trust = Trust::FirstUse(Arc::new(Pins::new()));
        let (client, connection) = connect(&config).await.unwrap();
        let connection = tokio::spawn(connection);
        converse(&client).await;
        let error = connection.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("too much"), "{error}");
    }
}

#[tokio::test]
async fn it_goes_through_a_proxy_that_looks_the_name_up() {
    let (address, names) = proxy::start(start(Transport::Tcp), "secret");
    let mut config = config("tcp://abc.onion:50001");
    let error = connect(&config).await.unwrap_err();
    assert!(matches!(error, ConnectError::OnionWithoutProxy { .. }));
    config.proxy = Some(Proxy {
        address: address.to_string(),
        credentials: Some(Credentials {
            username: "u".into(),
            password: "secret".into(),
        }),
    });
    let (client, connection) = connect(&config).await.unwrap();
    tokio::spawn(connection);
    converse(&client).await;
    assert_eq!(names.recv().unwrap(), "abc.onion");
}

#[tokio::test]
async fn it_speaks_over_a_stream_of_the_callers_and_ends_with_its_last_handle() {
    let address = start(Transport::Tcp);
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let config = config("tcp://example.org:1");
    let (client, connection) = connect_over(stream, &config).await.unwrap();
    let connection = tokio::spawn(connection);
    let tips = client.subscribe(headers::Subscribe::RAW).await.unwrap();
    drop(client);
    tokio::task::yield_now().await;
    assert!(!connection.is_finished(), "somebody listens");
    drop(tips);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_server_hears_when_nobody_listens_any_more() {
    let config = config(&start(Transport::Tcp).to_string());
    let (client, connection) = connect(&config).await.unwrap();
    tokio::spawn(connection);
    let script_hash = ScriptHash::from_byte_array([1; 32]);
    let count = || async {
        let balance = client.request(scripthash::GetBalance { script_hash }).await;
        balance.unwrap().confirmed.to_sat()
    };
    let subscribe = scripthash::Subscribe { script_hash };
    let first = client.subscribe(subscribe).await.unwrap();
    assert_eq!(count().await, 1);
    let second = client.subscribe(subscribe).await.unwrap();
    drop(first);
    assert_eq!(count().await, 2, "somebody listens");
    drop(second);
    assert_eq!(count().await, 0);
    // A subscription that is given up before its answer is as good as dropped.
    let hasty = client.subscribe(subscribe);
    tokio::select! {
        biased;
        _ = hasty => panic!("an answer before there was time for it"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(count().await, 0);
}

#[tokio::test]
async fn subscriptions_by_hand_tell_their_news_together() {
    let config = config(&start(Transport::Tcp).to_string());
    let (client, connection) = connect(&config).await.unwrap();
    tokio::spawn(connection);
    let mut news = client.news();
    let script_hash = ScriptHash::from_byte_array([1; 32]);
    let subscribe = Request::from(scripthash::Subscribe { script_hash });
    client.send(subscribe.clone()).await.unwrap();
    let batch: Batch = [subscribe, headers::Subscribe::RAW.into()]
        .into_iter()
        .collect();
    client.batch(batch).await;
    client.request(server::DonationAddress).await.unwrap();
    let mut told = [news.next().await.unwrap(), news.next().await.unwrap()];
    told.sort_by_key(|news| matches!(news, Notification::Headers(_)));
    let status = None;
    let of_script = Notification::ScriptHash {
        script_hash,
        status,
    };
    assert_eq!(told[0], of_script);
    assert!(matches!(told[1], Notification::Headers(_)));

    // A stream of the same script comes and goes without taking it away.
    let subscription = client
        .subscribe(scripthash::Subscribe { script_hash })
        .await;
    drop(subscription.unwrap());
    client.request(server::DonationAddress).await.unwrap();
    while news.next().await.unwrap() != of_script {}
    let unsubscribe = scripthash::Unsubscribe { script_hash };
    client.send(unsubscribe.into()).await.unwrap();
    while news.try_next().is_some() {}
    client.request(server::DonationAddress).await.unwrap();
    assert!(matches!(news.next().await, Some(Notification::Headers(_))));
    drop(client);
    assert_eq!(news.try_next(), None);
}

#[tokio::test]
async fn an_answer_that_does_not_come_costs_only_itself() {
    let mut config = config(&start(Transport::Tcp).to_string());
    config.request_timeout = Duration::from_millis(50);
    config.keep_alive = Some(Duration::from_millis(5));
    let (client, connection) = connect(&config).await.unwrap();
    let connection = tokio::spawn(connection);
    let error = client.request(mempool::GetInfo).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut));
    assert_eq!(
        client.request(server::Banner).await.unwrap(),
        common::BANNER
    );
    assert!(!connection.is_finished());
}

#[tokio::test]
async fn without_a_sign_of_life_a_server_is_lost() {
    // Introduces itself, and says nothing more.
    let (mine, mut theirs) = tokio::io::duplex(1000);
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = theirs.read(&mut [0; 1000]).await;
        let answer = b"{\"id\":0,\"result\":[\"mute\",\"1.4\"]}\n";
        theirs.write_all(answer).await.unwrap();
        while theirs
            .read(&mut [0; 1000])
            .await
            .is_ok_and(|count| count > 0)
        {}
    });
    let mut config = config("tcp://example.org:1");
    config.request_timeout = Duration::from_millis(50);
    config.keep_alive = Some(Duration::from_millis(5));
    let (client, connection) = connect_over(mine, &config).await.unwrap();
    assert_eq!(client.software(), "mute");
    let error = connection.await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    let error = client.request(server::Banner).await.unwrap_err();
    assert!(error.is_transient());
}

#[tokio::test]
async fn nobody_there_and_nothing_in_common() {
    let mut config = config(&start(Transport::Tcp).to_string());
    config.versions = VersionRange::exactly(ProtocolVersion::new(9, 0, 0));
    let error = connect(&config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Negotiation { .. }), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config.address = listener.local_addr().unwrap().to_string().parse().unwrap();
    config.connect_timeout = Duration::from_millis(50);
    let error = connect(&config).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    drop(listener);
    let error = connect(&config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.is_transient());
}

/// `join_all` would ask for all of them again and again otherwise, and take minutes for what takes a second.
#[tokio::test]
async fn thousands_of_answers_are_taken_in_one_turn() {
    let config = config(&start(Transport::Tcp).to_string());
    let (client, connection) = connect(&config).await.unwrap();
    tokio::spawn(connection);
    let mut requests: Vec<_> = std::iter::repeat_with(|| Box::pin(client.request(server::Banner)))
        .take(1000)
        .collect();
    let mut answered = |context: &mut std::task::Context<'_>| {
        let polls = requests
            .iter_mut()
            .map(|request| request.as_mut().poll(context));
        polls.filter(std::task::Poll::is_ready).count()
    };
    let at_first = std::future::poll_fn(|context| answered(context).into()).await;
    assert_eq!(at_first, 0);
    // The server answers in order.
    client.request(server::Banner).await.unwrap();
    let then = std::future::poll_fn(|context| answered(context).into()).await;
    assert_eq!(then, 1000);
}
