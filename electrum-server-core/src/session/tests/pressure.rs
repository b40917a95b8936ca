//! Clients that do not read, and clients that do not behave.

use electrum_protocol::Notification;
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::method::{headers, scripthash};

use super::super::{About, Limits, Next, Place};
use super::chain::script_hash;
use super::stage::Stage;
use super::talk::line;

fn narrow() -> Stage {
    Stage::with(
        About::default(),
        Limits {
            output_ceiling: 1000,
            ..Limits::default()
        },
    )
}

fn pings(count: u32) -> String {
    (0..count)
        .map(|id| format!("{{\"id\":{id},\"method\":\"server.ping\"}}\n"))
        .collect()
}

#[test]
fn requests_are_not_handled_while_nobody_reads_the_answers() {
    let stage = narrow();
    let mut talk = stage.talk();
    talk.session.receive(pings(500).as_bytes());
    let mut answers = Vec::new();
    while answers.len() < 500 {
        let next = talk.run();
        let lines = talk.hear();
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        assert!(bytes < 1000 + 50, "{bytes} bytes wait");
        answers.extend(lines);
        assert_eq!(
            next,
            if answers.len() < 500 {
                Next::Output
            } else {
                Next::Input
            }
        );
    }
    for (id, answer) in answers.iter().enumerate() {
        assert_eq!(
            *answer,
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":null}}")
        );
    }
    // What the wire holds counts as well.
    talk.session.receive(pings(1).as_bytes());
    assert_eq!(
        talk.session.run(Place::Node, &talk.services, 1000),
        Next::Output
    );
    assert_eq!(talk.hear(), [""; 0]);
    talk.session.run(Place::Node, &talk.services, 999);
    assert_eq!(talk.hear().len(), 1);
    assert_eq!(
        talk.session.run(Place::Node, &talk.services, 999),
        Next::Input
    );
}

#[test]
fn changes_that_nobody_reads_cost_nothing_more() {
    let mut stage = narrow();
    let mut talk = stage.talk();
    talk.ask(headers::Subscribe::RAW).unwrap();
    talk.ask(scripthash::Subscribe {
        script_hash: script_hash(1),
    })
    .unwrap();
    for _ in 0..20 {
        stage.mine(1, &[]);
        talk.session.on_update(stage.last_update());
        assert_eq!(
            talk.session.run(Place::Node, &talk.services, 1000),
            Next::Output
        );
    }
    assert_eq!(talk.hear(), [""; 0]);
    // Once it reads, it is told the state of now, once.
    talk.run();
    let tip = stage.view().tip();
    let script_hash = script_hash(1);
    let status = stage.view().status(&script_hash, None).unwrap();
    let expected = [
        Notification::Headers(TipResponse::Raw(tip)),
        Notification::ScriptHash {
            script_hash,
            status,
        },
    ];
    assert_eq!(talk.hear(), expected.map(line));
}

/// The answers of a batch leave together, so more than the ceiling must be able to gather there.
#[test]
fn a_batch_with_more_answer_than_the_ceiling_is_finished() {
    let stage = narrow();
    let mut talk = stage.talk();
    let requests: Vec<String> = (0..100)
        .map(|id| format!("{{\"id\":{id},\"method\":\"server.features\"}}"))
        .collect();
    talk.session
        .receive(format!("[{}]\n{}", requests.join(","), pings(1)).as_bytes());
    assert_eq!(talk.run(), Next::Output);
    let lines = talk.hear();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].len() > 10_000);
    assert_eq!(talk.run(), Next::Input);
    assert_eq!(talk.hear().len(), 1);
}

#[test]
fn who_sends_only_nonsense_is_told_so_and_left() {
    let limits = Limits {
        max_refusals: 10,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let mut talk = stage.talk();
    let lines = talk.say(&"nonsense\n".repeat(1000));
    assert_eq!(lines.len(), 12);
    assert!(lines[10].contains("-32700"), "{}", lines[10]);
    let last = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":\
                {\"code\":-101,\"message\":\"too many invalid messages\"}}";
    assert_eq!(lines[11], last);
    assert!(matches!(talk.run(), Next::Close(_)));
    assert_eq!(talk.say(&pings(1)), [""; 0]);
}

#[test]
fn a_version_that_nobody_speaks_ends_the_session() {
    let stage = Stage::new();
    let mut talk = stage.talk();
    let lines = talk.say("{\"id\":1,\"method\":\"server.version\",\"params\":[\"\",\"1.8\"]}\n");
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("unsupported protocol version"),
        "{}",
        lines[0]
    );
    assert!(matches!(talk.run(), Next::Close(_)));
}

#[test]
fn limits_of_messages_are_those_of_the_server() {
    let limits = Limits {
        max_line: 1000,
        max_batch: 3,
        max_response: 200,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let mut talk = stage.talk();
    let lines = talk.say(&format!("{}\n{}", "x".repeat(100_000), pings(1)));
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].contains("line too long (over 1000 bytes)"),
        "{}",
        lines[0]
    );
    let ping = "{\"id\":1,\"method\":\"server.ping\"}";
    let lines = talk.say(&format!("[{ping},{ping},{ping},{ping}]\n"));
    assert!(lines[0].contains("-32600"), "{}", lines[0]);
    let lines = talk.say("{\"id\":1,\"method\":\"server.features\"}\n");
    assert!(
        lines[0].contains("response too large (over 200 bytes"),
        "{}",
        lines[0]
    );
}
