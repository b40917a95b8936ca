//! Servers that want a connection to grow: what it holds stays below what the configuration says, counted at the allocator.

use std::io;
use std::time::Duration;

use electrum_protocol::method::{scripthash, server};
use electrum_protocol::net::Config;
use electrum_protocol::{Batch, Request, RequestError, ScriptHash};
use electrum_protocol::{blocking, tokio as asynchronous};
use tokio::runtime::{Builder, Runtime};
use tungstenite::Message;

use crate::config;
use crate::hostile::{WELCOME, answering, play};

/// A runtime on the thread whose allocations are counted.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs something, and returns how much more is held afterwards, and was at most.
fn measured<T>(run: impl FnOnce() -> T) -> (T, i64, u64) {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(run()));
    (result.unwrap(), info.bytes_current, info.bytes_max)
}

/// What `Config::max_line` promises, for so many requests and subscriptions.
fn most(config: &Config, count: usize) -> u64 {
    (4 * config.max_line + 512 * 1024 + 1024 * count) as u64
}

fn banners(count: usize) -> Batch {
    vec![Request::from(server::Banner); count]
        .into_iter()
        .collect()
}

/// One error answers all requests of an array: no copy of a long one is made for each of them.
#[test]
fn an_error_for_many_is_short() {
    const LENGTH: usize = 1_000_000;
    let text = "x".repeat(LENGTH);
    let error = format!("{{\"id\":null,\"error\":{{\"code\":-32600,\"message\":\"{text}\"}}}}\n");
    let config = config(&answering(move |_| error.clone()).to_string());
    let check = |results: Vec<Result<_, RequestError>>, held: u64| {
        assert_eq!(results.len(), 100);
        assert!(held < 10 * LENGTH as u64, "{held}");
        for result in results {
            let error = result.map(drop).unwrap_err();
            assert!(
                error.server_error().unwrap().message.starts_with("xxx"),
                "{error}"
            );
        }
    };
    let runtime = runtime();
    let (client, connection) = runtime.block_on(asynchronous::connect(&config)).unwrap();
    runtime.spawn(connection);
    let (results, _, peak) = measured(|| runtime.block_on(client.batch(banners(100))));
    check(results.into_iter().collect(), peak);
    let mut client = blocking::connect(&config).unwrap();
    let (results, _, peak) = measured(|| client.batch(banners(100)).unwrap());
    check(results.into_iter().collect(), peak);
}

/// One request waits for ever, and all others are answered.
#[test]
fn requests_that_were_answered_are_forgotten() {
    let address = answering(|number| match number {
        1 => String::new(),
        number => {
            let first = 2 + (number - 2) * 100;
            let answers = (first..first + 100).map(|id| format!("{{\"id\":{id},\"result\":\"\"}}"));
            format!("[{}]\n", answers.collect::<Vec<_>>().join(","))
        }
    });
    let mut config = config(&address.to_string());
    config.request_timeout = Duration::from_secs(60);
    config.keep_alive = None;
    let runtime = runtime();
    let (client, connection) = runtime.block_on(asynchronous::connect(&config)).unwrap();
    runtime.spawn(connection);
    let other = client.clone();
    let slow = runtime.spawn(async move { other.request(server::Banner).await });
    // It is the first that is sent.
    runtime.block_on(tokio::task::yield_now());
    let ask = |count: usize| {
        let asked = measured(|| {
            for _ in 0..count {
                let replies = runtime.block_on(client.batch(banners(100)));
                assert!(replies.into_iter().all(|reply| reply.is_ok()));
            }
        });
        asked.1
    };
    ask(20);
    let held = ask(300);
    assert!(held < 100_000, "{held} bytes held after 30,000 answers");
    slow.abort();
}

fn script_hash(seed: u32) -> ScriptHash {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    ScriptHash::from_byte_array(bytes)
}

/// What nobody asked for, or asked for once: of all kinds.
fn flood(max_line: usize) -> String {
    let mut lines = String::new();
    for round in 0..3_000 {
        let long = "x".repeat(max_line / 3);
        let line = match round % 10 {
            0 | 1 => {
                let script_hash = script_hash(round / 10 % 20);
                format!(
                    "{{\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{script_hash}\",null]}}"
                )
            }
            2 => {
                let script_hash = script_hash(round);
                format!(
                    "{{\"method\":\"blockchain.scripthash.subscribe\",\"params\":[\"{script_hash}\",null]}}"
                )
            }
            3 => format!(
                "{{\"method\":\"blockchain.address.subscribe\",\"params\":[\"{round}{long}\",null]}}"
            ),
            4 => format!("{{\"id\":{round},\"result\":\"{long}\"}}"),
            5 => format!("{{\"id\":1,\"result\":\"{long}\"}}"),
            6 => format!("{{\"id\":null,\"error\":{{\"code\":1,\"message\":\"{long}\"}}}}"),
            7 => format!("[{}]", vec!["1"; 1_000].join(",")),
            8 => format!("{{\"method\":\"{round}{long}\",\"params\":[\"{long}\"]}}"),
            _ => long,
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}

const SUBSCRIPTIONS: u32 = 20;

/// Answers a batch of subscriptions, and the next request behind a flood.
fn flooding(max_line: usize) -> impl Fn(usize) -> String + Send + Sync + 'static {
    let all = flood(max_line);
    let statuses = (1..=SUBSCRIPTIONS).map(|id| format!("{{\"id\":{id},\"result\":null}}"));
    let statuses = format!("[{}]\n", statuses.collect::<Vec<_>>().join(","));
    move |number| match number {
        1 => statuses.clone(),
        _ => format!(
            "{all}{{\"id\":{},\"result\":\"done\"}}\n",
            SUBSCRIPTIONS + 1
        ),
    }
}

fn subscribe() -> Batch {
    let calls = (0..SUBSCRIPTIONS).map(|seed| scripthash::Subscribe {
        script_hash: script_hash(seed),
    });
    calls.map(Request::from).collect()
}

/// Nobody reads the news, and the server says whatever comes to its mind.
fn check_flood(config: &Config, most: u64) {
    let check = |banner: Result<String, RequestError>, held: i64, peak: u64| {
        assert_eq!(banner.unwrap(), "done");
        assert!(peak <= most, "{peak} bytes at most, of {most}");
        // What is left of buffers.
        assert!(held < 192 * 1024, "{held} bytes held");
    };
    let runtime = runtime();
    let (client, connection) = runtime.block_on(asynchronous::connect(config)).unwrap();
    runtime.spawn(connection);
    let ((mut news, banner), held, peak) = measured(|| {
        let news = client.news();
        let replies = runtime.block_on(client.batch(subscribe()));
        assert!(replies.into_iter().all(|reply| reply.is_ok()));
        (news, runtime.block_on(client.request(server::Banner)))
    });
    check(banner, held, peak);
    let mut told = 0;
    while news.try_next().is_some() {
        told += 1;
    }
    assert_eq!(told, SUBSCRIPTIONS);

    let mut client = blocking::connect(config).unwrap();
    let (banner, held, peak) = measured(|| {
        let replies = client.batch(subscribe()).unwrap();
        assert!(replies.into_iter().all(|reply| reply.is_ok()));
        client.request(server::Banner)
    });
    check(banner, held, peak);
    let mut told = 0;
    while client.next_news().is_some() {
        told += 1;
    }
    assert_eq!(told, SUBSCRIPTIONS);
}

#[test]
fn a_flood_is_not_kept() {
    let max_line = 10_000;
    let address = answering(flooding(max_line));
    let mut config = config(&address.to_string());
    config.max_line = max_line;
    check_flood(&config, most(&config, SUBSCRIPTIONS as usize + 1));
}

#[test]
fn a_flood_of_messages_is_not_kept() {
    let max_line = 10_000;
    let answer = flooding(max_line);
    let address = play(move |stream| {
        let mut websocket = tungstenite::accept(stream).unwrap();
        let welcome = String::from_utf8(WELCOME.to_vec()).unwrap();
        for number in 0.. {
            websocket.read().map_err(io::Error::other)?;
            let lines = match number {
                0 => welcome.clone(),
                number => answer(number),
            };
            for line in lines.lines() {
                let sent = websocket.write(Message::text(line));
                sent.map_err(io::Error::other)?;
            }
            websocket.flush().map_err(io::Error::other)?;
        }
        Ok(())
    });
    let mut config = config(&format!("ws://{address}"));
    config.max_line = max_line;
    let most = most(&config, SUBSCRIPTIONS as usize + 1) + 4 * max_line as u64;
    check_flood(&config, most);
}
