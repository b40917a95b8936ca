//! Clients that mean harm. Each test has a healthy client beside them that must not notice, and looks at what they make
//! the server hold.

use std::sync::atomic::Ordering;
use std::time::Instant;

use electrum_protocol::ErrorCode;
use futures_util::SinkExt;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::healthy::{HEALTHY, HOSTILE, Healthy, code, connect_from, limits, until};
use super::*;
use crate::metrics::Rejection;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections() {
    let stage = Stage::with(
        About::default(),
        Limits {
            max_subnet_connections: 20,
            cost_hard: 0.0,
            ..limits()
        },
    );
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(to).await;
    let mut flood = Vec::new();
    for _ in 0..300 {
        flood.push(connect_from(HOSTILE, to).await);
        assert!(metrics.connections() <= 21);
    }
    until("the others are turned away", || {
        metrics.rejected(Rejection::Subnet) == 280
    })
    .await;
    // Those who are told why get an error, and everybody gets an end.
    let mut told = 0;
    for stream in &mut flood[20..] {
        let mut text = String::new();
        let _ = within(stream.read_to_string(&mut text)).await;
        if !text.is_empty() {
            assert_eq!(code(&text), Some(ErrorCode::LIMIT_EXCEEDED.0), "{text}");
            assert!(text.contains("\"retry_after\":60"), "{text}");
            told += 1;
        }
    }
    assert!(told > 0);
    drop(flood);
    until("their places are free", || metrics.connections() == 1).await;
    healthy.was_served_well().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_do_not_end() {
    let stage = Stage::with(
        About::default(),
        Limits {
            handshake_timeout: Duration::from_millis(300),
            ..limits()
        },
    );
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("c"), dir.path().join("k"));
    crate::net::Certificate::make_once(&certificate, &key, Vec::new()).unwrap();
    let certificate = Arc::new(crate::net::Certificate::load(&certificate, &key).unwrap());
    let running = Running::on(
        vec![
            Listener::from(free_port().await),
            Listener::from(free_port().await).with_tls(certificate),
            Listener::from(free_port().await).with_websocket(),
        ],
        &stage,
    );
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(running.addresses[0]).await;
    let mut half_open = Vec::new();
    for _ in 0..20 {
        half_open.push(connect_from(HOSTILE, running.addresses[1]).await);
        let mut stream = connect_from(HOSTILE, running.addresses[2]).await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n")
            .await
            .unwrap();
        half_open.push(stream);
    }
    until("they are given up", || {
        metrics.rejected(Rejection::Handshake) == 40
    })
    .await;
    until("their places are free", || metrics.connections() == 1).await;
    healthy.was_served_well().await;
    running.stop().await;
}

/// Peers whose machine was switched off: no packet says so. They read nothing more, and say nothing more, while they
/// are still told what they subscribed to.
#[tokio::test(flavor = "multi_thread")]
async fn peers_that_vanish() {
    let mut stage = Stage::with(
        About::default(),
        Limits {
            idle_timeout: Duration::from_millis(600),
            max_subnet_connections: 300,
            cost_hard: 0.0,
            ..limits()
        },
    );
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(to).await;
    let mut vanished = Vec::new();
    for _ in 0..200 {
        let mut stream = connect_from(HOSTILE, to).await;
        let ask = b"{\"id\":0,\"method\":\"blockchain.headers.subscribe\"}\n";
        stream.write_all(ask).await.unwrap();
        vanished.push(stream);
    }
    let mut most = 0;
    until("they are given up", || {
        most = most.max(metrics.buffered());
        stage.mine(1, &[]);
        let _ = running.updates.send(Arc::new(stage.last_update().clone()));
        metrics.rejected(Rejection::Idle) == 200
    })
    .await;
    assert!(most <= 200 * 2000, "{most}");
    until("their places are free", || metrics.connections() == 1).await;
    healthy.was_served_well().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_arrive_byte_by_byte() {
    let stage = Stage::with(
        About::default(),
        Limits {
            line_timeout: Duration::from_millis(400),
            ..limits()
        },
    );
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(to).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = connect_from(HOSTILE, to).await;
        slow.push(tokio::spawn(async move {
            // Complete lines in between do not count against the next one, only for it.
            stream.write_all(pings(2).as_bytes()).await.unwrap();
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }));
    }
    until("they are closed", || {
        assert!(metrics.buffered() < 20 * 2000, "{}", metrics.buffered());
        metrics.rejected(Rejection::Idle) == 20
    })
    .await;
    for task in slow {
        within(task).await.unwrap();
    }
    until("their places are free", || metrics.connections() == 1).await;
    healthy.was_served_well().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_never_end() {
    let stage = Stage::with(
        About::default(),
        Limits {
            max_buffered: 5_000_000,
            hold_timeout: Duration::from_millis(300),
            room_timeout: Duration::from_millis(500),
            cost_hard: 0.0,
            ..limits()
        },
    );
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(to).await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let mut stream = connect_from(HOSTILE, to).await;
        tasks.push(tokio::spawn(async move {
            let _ = stream.write_all(&vec![b'['; 1_900_000]).await;
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text).await;
            text
        }));
    }
    until("some are sent away", || {
        metrics.rejected(Rejection::Buffers) >= 17
    })
    .await;
    // One read of each may be on top.
    assert!(
        metrics.buffered() <= 5_000_000 + 20 * 33_000,
        "{}",
        metrics.buffered()
    );
    for task in &tasks {
        task.abort();
    }
    for task in tasks {
        if let Ok(text) = task.await
            && !text.is_empty()
        {
            assert_eq!(code(&text), Some(ErrorCode::EXCESSIVE_USAGE.0), "{text}");
        }
    }
    until("nothing is left of them", || metrics.buffered() < 1000).await;
    healthy.was_served_well().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_websocket_that_never_end() {
    let stage = Stage::with(
        About::default(),
        Limits {
            max_buffered: 5_000_000,
            cost_hard: 0.0,
            ..limits()
        },
    );
    let listeners = vec![
        Listener::from(free_port().await),
        Listener::from(free_port().await).with_websocket(),
    ];
    let running = Running::on(listeners, &stage);
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(running.addresses[0]).await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let stream = connect_from(HOSTILE, running.addresses[1]).await;
        let (mut socket, _) = within(client_async("ws://x/", stream)).await.unwrap();
        // The first part of a message, of which no other comes.
        let part = Frame::message(vec![b' '; 1_500_000], OpCode::Data(Data::Text), false);
        let _ = within(socket.send(Message::Frame(part))).await;
        assert!(metrics.buffered() <= 5_000_000 + 8 * 33_000);
        sockets.push(socket);
    }
    until("some are sent away", || metrics.connections() <= 5).await;
    drop(sockets);
    until("nothing is left of them", || metrics.buffered() < 1000).await;
    healthy.was_served_well().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read() {
    let ceiling = 100_000;
    let stage = Stage::with(
        About::default(),
        Limits {
            output_ceiling: ceiling,
            write_timeout: Duration::from_millis(500),
            cost_hard: 0.0,
            ..limits()
        },
    );
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(to).await;
    let ask = "{\"id\":0,\"method\":\"server.features\"}\n".repeat(1000);
    let mut floods = Vec::new();
    for _ in 0..10 {
        let mut stream = connect_from(HOSTILE, to).await;
        let ask = ask.clone();
        floods.push(tokio::spawn(async move {
            while stream.write_all(ask.as_bytes()).await.is_ok() {}
        }));
    }
    let mut most = 0;
    until("they are closed", || {
        most = most.max(metrics.buffered());
        metrics.rejected(Rejection::Stalled) == 10
    })
    .await;
    // The ceiling, one answer more, and what one read brought in.
    assert!(most <= 10 * (ceiling + 40_000), "{most}");
    assert!(most >= ceiling, "{most}");
    for flood in floods {
        within(flood).await.unwrap();
    }
    healthy.was_served_well().await;
    running.stop().await;
}

fn subscribe(id: usize) -> String {
    format!(
        "{{\"id\":{id},\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{id:064x}\"]}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_subscriptions() {
    let stage = Stage::with(
        About::default(),
        Limits {
            max_subscriptions: 800,
            max_subnet_subscriptions: 1000,
            max_total_subscriptions: 1500,
            cost_hard: 0.0,
            ..limits()
        },
    );
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(to).await;
    let ask: String = (0..1000).map(subscribe).collect();
    let mut streams = Vec::new();
    // One has its share, the next has the rest of the subnet's, then another subnet what is left for all.
    for (subnet, granted) in [(HOSTILE, 800), (HOSTILE, 200), ([127, 0, 67], 500)] {
        let mut stream = connect_from(subnet, to).await;
        let (mut reader, mut writer) = stream.split();
        let send = async { writer.write_all(ask.as_bytes()).await.unwrap() };
        let receive = async {
            let mut count = 0;
            for _ in 0..1000 {
                let line = read_line(&mut reader).await;
                match code(&line) {
                    None => count += 1,
                    Some(code) => assert_eq!(code, ErrorCode::LIMIT_EXCEEDED.0, "{line}"),
                }
            }
            count
        };
        let ((), count) = tokio::join!(send, receive);
        assert_eq!(count, granted);
        streams.push(stream);
    }
    assert_eq!(metrics.subscriptions(), 1500);
    drop(streams);
    until("they are forgotten", || metrics.subscriptions() == 0).await;
    healthy.was_served_well().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_bombs() {
    let mut stage = Stage::with(
        About::default(),
        Limits {
            max_batch: 500,
            cost_hard: 0.0,
            ..limits().with_max_response(200_000)
        },
    );
    for miner in 0..50 {
        stage.mine(miner, &[]);
    }
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let metrics = stage.services.metrics.clone();
    let healthy = Healthy::start(to).await;
    let mut stream = connect_from(HOSTILE, to).await;
    let headers = "{\"id\":1,\"method\":\"blockchain.block.headers\",\"params\":[0,2016]}";
    let batch = |count: usize| format!("[{}]\n", vec![headers; count].join(","));
    stream.write_all(batch(501).as_bytes()).await.unwrap();
    assert_eq!(code(&read_line(&mut stream).await), Some(-32600));
    for _ in 0..20 {
        stream.write_all(batch(500).as_bytes()).await.unwrap();
    }
    for _ in 0..20 {
        let answer = read_line(&mut stream).await;
        assert_eq!(answer.matches("\"id\":1").count(), 500);
        assert!(answer.contains("response too large"));
        // What is beyond are the errors, which are small.
        assert!(answer.len() < 200_000 + 500 * 120, "{}", answer.len());
    }
    assert!(metrics.buffered() < 3_000_000);
    healthy.was_served_well().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_work_of_some_does_not_keep_others_waiting_until_it_is_done() {
    let stage = Stage::with(
        About::default(),
        Limits {
            cost_hard: 0.0,
            ..limits()
        },
    );
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    // So each question is a turn.
    stage.node.thinks.store(15, Ordering::Relaxed);
    let ask = |id: usize| {
        format!(
            "{{\"id\":{id},\"method\":\"blockchain.transaction.get\",\"params\":[\"{id:064x}\"]}}"
        )
    };
    let batch: Vec<String> = (0..100).map(ask).collect();
    let batch = format!("[{}]\n", batch.join(","));
    let mut hostile = Vec::new();
    for _ in 0..20 {
        let mut stream = connect_from(HOSTILE, to).await;
        stream.write_all(batch.as_bytes()).await.unwrap();
        hostile.push(stream);
    }
    let asked = || stage.node.asked().len();
    until("every thread has something to do", || asked() > 40).await;
    let mut healthy = connect_from(HEALTHY, to).await;
    let before = asked();
    healthy.write_all(ask(7).as_bytes()).await.unwrap();
    healthy.write_all(b"\n").await.unwrap();
    assert_eq!(code(&read_line(&mut healthy).await), Some(2));
    // Those who stood in line before it had their turn, and no more than a few of them another one.
    let between = asked() - before;
    assert!(between < 500, "{between}");
    drop(hostile);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_costs_too_much_is_delayed_and_then_sent_away() {
    let stage = Stage::with(
        About::default(),
        Limits {
            cost_soft: 50.0,
            cost_hard: 200.0,
            cost_delay: Duration::from_millis(100),
            ..limits()
        },
    );
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let metrics = stage.services.metrics.clone();
    let mut stream = connect_from(HOSTILE, to).await;
    let ask = "{\"id\":0,\"method\":\"server.features\"}\n".repeat(20);
    let mut last = String::new();
    let begun = Instant::now();
    let mut count = 0;
    while !last.contains("\"code\"") {
        if stream.write_all(ask.as_bytes()).await.is_err() {
            break;
        }
        for _ in 0..20 {
            last = read_line(&mut stream).await;
            if last.contains("\"code\"") {
                break;
            }
            count += 1;
        }
    }
    assert_eq!(code(&last), Some(ErrorCode::EXCESSIVE_USAGE.0), "{last}");
    assert!(
        last.contains("\"id\":null") && last.contains("\"retry_after\":"),
        "{last}"
    );
    // A request and its answer cost 0.2 and some 400 bytes; the delays grow to 100 ms.
    assert!((300..2000).contains(&count), "{count}");
    assert!(begun.elapsed() > Duration::from_millis(500));
    // So it is at the door, for whoever comes from there.
    let mut again = connect_from(HOSTILE, to).await;
    assert_eq!(
        code(&rest(&mut again).await),
        Some(ErrorCode::EXCESSIVE_USAGE.0)
    );
    assert!(metrics.rejected(Rejection::Cost) >= 2);
    // Others pay for themselves.
    let mut other = connect_from(HEALTHY, to).await;
    other.write_all(pings(1).as_bytes()).await.unwrap();
    assert_eq!(read_line(&mut other).await + "\n", pongs(1));
    running.stop().await;
}

/// What is sent in one piece, and ends the session, has its price all the same.
#[tokio::test]
async fn whoever_is_sent_away_for_abuse_has_paid_for_it() {
    let stage = Stage::with(About::default(), limits());
    let running = Running::start(&stage).await;
    let to = running.addresses[0];
    let mut stream = connect_from(HOSTILE, to).await;
    stream
        .write_all("x\n".repeat(200).as_bytes())
        .await
        .unwrap();
    assert!(rest(&mut stream).await.contains("too many invalid"));
    let mut again = connect_from(HOSTILE, to).await;
    let refusal = rest(&mut again).await;
    assert_eq!(code(&refusal), Some(ErrorCode::EXCESSIVE_USAGE.0));
    running.stop().await;
}
