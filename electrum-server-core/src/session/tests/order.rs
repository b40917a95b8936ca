//! What is said before what.

use bitcoin::OutPoint;
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::{Notification, Status};

use super::super::{Next, Place, Unsent};
use super::chain::{pay, script_hash};
use super::stage::Stage;
use super::talk::{Talk, line};
use crate::notify::Touched;

fn headers(stage: &Stage) -> String {
    line(Notification::Headers(TipResponse::Raw(stage.view().tip())))
}

fn status(stage: &Stage, n: u8) -> Option<Status> {
    stage.view().status(&script_hash(n), None).unwrap()
}

fn changed(stage: &Stage, n: u8) -> String {
    let (script_hash, status) = (script_hash(n), status(stage, n));
    line(Notification::ScriptHash {
        script_hash,
        status,
    })
}

fn request(id: u32, method: &str, n: u8) -> String {
    let script_hash = script_hash(n);
    format!(
        "{{\"id\":{id},\"method\":\"blockchain.scripthash.{method}\",\"params\":[\"{script_hash}\"]}}"
    )
}

fn subscribed(stage: &Stage, id: u32, n: u8) -> String {
    let status = match status(stage, n) {
        Some(status) => format!("\"{status}\""),
        None => "null".to_owned(),
    };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{status}}}")
}

fn subscribe_to_headers(talk: &mut Talk) {
    let lines = talk.say("{\"id\":0,\"method\":\"blockchain.headers.subscribe\"}\n");
    assert_eq!(lines.len(), 1);
}

fn subscribe(talk: &mut Talk, n: u8) {
    assert_eq!(talk.say(&(request(0, "subscribe", n) + "\n")).len(), 1);
}

#[test]
fn the_header_comes_before_the_statuses_that_it_changes() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    subscribe(&mut talk, 1);
    subscribe_to_headers(&mut talk);
    subscribe(&mut talk, 2);
    let coin = stage.mine(1, &[]);
    assert_eq!(
        talk.update(stage.last_update()),
        [headers(&stage), changed(&stage, 1)]
    );
    stage.mine(9, &[pay(&[coin], &[(2, 1)])]);
    let lines = talk.update(stage.last_update());
    assert_eq!(lines[0], headers(&stage));
    let mut statuses = lines[1..].to_vec();
    statuses.sort();
    let mut expected = [changed(&stage, 1), changed(&stage, 2)];
    expected.sort();
    assert_eq!(statuses, expected);
    // Nothing is said twice.
    assert_eq!(talk.update(stage.last_update()), [""; 0]);
}

#[test]
fn nobody_is_told_what_they_did_not_ask_for() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    stage.mine(1, &[]);
    assert_eq!(talk.update(stage.last_update()), [""; 0]);
    subscribe(&mut talk, 1);
    stage.mine(2, &[]);
    assert_eq!(talk.update(stage.last_update()), [""; 0]);
    talk.say(&(request(0, "unsubscribe", 1) + "\n"));
    stage.mine(1, &[]);
    assert_eq!(talk.update(stage.last_update()), [""; 0]);
}

/// The first status is that of the answer, even when the change that the update tells of is in it already.
#[test]
fn an_update_that_arrives_late_is_no_news() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    stage.mine(1, &[]);
    let update = stage.last_update().clone();
    assert_eq!(
        talk.say(&(request(7, "subscribe", 1) + "\n")),
        [subscribed(&stage, 7, 1)]
    );
    subscribe_to_headers(&mut talk);
    assert_eq!(talk.update(&update), [""; 0]);
}

/// Answers of a view do not leave before the tip of that view is told.
#[test]
fn an_answer_is_not_ahead_of_the_header() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    subscribe_to_headers(&mut talk);
    stage.mine(1, &[]);
    // The update has not arrived yet, the view is published already.
    let lines = talk.say(&(request(7, "subscribe", 1) + "\n"));
    assert_eq!(lines, [headers(&stage), subscribed(&stage, 7, 1)]);
    assert_eq!(talk.update(stage.last_update()), [""; 0]);
}

#[test]
fn lost_updates_are_made_up_for() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    subscribe_to_headers(&mut talk);
    for n in 1..=3 {
        subscribe(&mut talk, n);
    }
    stage.mine(1, &[]);
    stage.mine(2, &[]);
    talk.session.on_missed_updates();
    talk.run();
    let lines = talk.hear();
    assert_eq!(lines[0], headers(&stage));
    let mut statuses = lines[1..].to_vec();
    statuses.sort();
    let mut expected = [changed(&stage, 1), changed(&stage, 2)];
    expected.sort();
    assert_eq!(statuses, expected);
}

/// After a reorg everything is compared, and what did not change is not told.
#[test]
fn everything_touched_is_everything_compared() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    subscribe(&mut talk, 1);
    subscribe(&mut talk, 2);
    stage.mine(2, &[]);
    let mut update = stage.last_update().clone();
    update.touched = Touched::Everything;
    assert_eq!(talk.update(&update), [changed(&stage, 2)]);
}

#[test]
fn more_subscriptions_than_are_computed_at_a_time() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    for n in 0..=u8::MAX {
        for m in [0, 1, 2] {
            let script = bitcoin::ScriptBuf::from(vec![n, m]);
            let script_hash = electrum_protocol::ScriptHash::from_script(&script);
            talk.ask(electrum_protocol::method::scripthash::Subscribe { script_hash })
                .unwrap();
        }
    }
    subscribe(&mut talk, 1);
    stage.mine(1, &[]);
    talk.session.on_missed_updates();
    assert_eq!(
        talk.session.run(Place::Reactor, &talk.services, 0),
        Next::Needs(Place::Store)
    );
    assert_eq!(
        talk.session.run(Place::Store, &talk.services, 0),
        Next::Pause
    );
    // A request that comes meanwhile does not have to wait for the rest.
    talk.session
        .receive(b"{\"id\":1,\"method\":\"server.ping\"}\n");
    assert_eq!(
        talk.session.run(Place::Store, &talk.services, 0),
        Next::Input
    );
    let lines = talk.hear();
    assert_eq!(lines.len(), 2);
    assert!(lines.contains(&changed(&stage, 1)));
    assert!(lines.contains(&"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}".to_owned()));
}

/// A batch is answered from one view, even when another is published while it is handled, and the header comes after
/// the batch that was begun before.
#[test]
fn a_batch_has_one_view() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    subscribe_to_headers(&mut talk);
    let before = subscribed(&stage, 2, 1);
    let batch = format!(
        "[{{\"id\":1,\"method\":\"server.ping\"}},{}]\n",
        request(2, "subscribe", 1)
    );
    talk.session.receive(batch.as_bytes());
    // The first half is answered at once, the second needs the store.
    assert_eq!(
        talk.session.run(Place::Reactor, &talk.services, 0),
        Next::Needs(Place::Store)
    );
    stage.mine(1, &[]);
    talk.run();
    let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}";
    assert_eq!(talk.hear(), [format!("[{ping},{before}]")]);
    assert_eq!(
        talk.update(stage.last_update()),
        [headers(&stage), changed(&stage, 1)]
    );
}

/// A group that is interrupted, because others wait, goes on where it was and from the view that it began with.
#[test]
fn a_group_may_take_several_turns() {
    let mut stage = Stage::new();
    let mut talk = stage.talk();
    let before = [1, 2, 1].map(|n| subscribed(&stage, u32::from(n), n));
    let batch: Vec<String> = [1, 2, 1]
        .map(|n| request(u32::from(n), "subscribe", n))
        .into();
    talk.session
        .receive(format!("[{}]\n{}", batch.join(","), request(3, "get_balance", 3)).as_bytes());
    talk.session.receive(
        b"\n{\"id\":4,\"method\":\"server.ping\"}\n{\"id\":5,\"method\":\"server.ping\"}\n",
    );
    let turn = |talk: &mut Talk, place| {
        let next = talk
            .session
            .run_while(place, &talk.services, Unsent::default(), &|| false);
        (next, talk.hear())
    };
    let more = |place| (Next::Needs(place), Vec::new());
    assert_eq!(turn(&mut talk, Place::Reactor), more(Place::Store));
    assert_eq!(turn(&mut talk, Place::Store), more(Place::Store));
    assert!(talk.session.is_in_batch());
    stage.mine(1, &[]);
    stage.mine(2, &[]);
    assert_eq!(turn(&mut talk, Place::Store), more(Place::Store));
    let (next, lines) = turn(&mut talk, Place::Store);
    assert_eq!(lines, [format!("[{}]", before.join(","))]);
    assert_eq!(next, Next::Needs(Place::Store));
    // Three single requests are left.
    for next in [
        Next::Needs(Place::Store),
        Next::Needs(Place::Store),
        Next::Input,
    ] {
        let (ended, lines) = turn(&mut talk, Place::Store);
        assert_eq!((ended, lines.len()), (next, 1));
    }
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let stage = Stage::new();
    let mut talk = stage.talk();
    let methods = [
        "server.ping",
        "blockchain.estimatefee",
        "blockchain.scripthash.get_balance",
    ];
    let mut text = String::new();
    for id in 0..30 {
        let method = methods[id % 3];
        let params = ["", "2", &format!("\"{}\"", script_hash(1))][id % 3].to_owned();
        text += &format!("{{\"id\":{id},\"method\":\"{method}\",\"params\":[{params}]}}\n");
    }
    let lines = talk.say(&text);
    for (id, line) in lines.iter().enumerate() {
        assert!(line.contains(&format!("\"id\":{id},\"result\"")), "{line}");
    }
    assert_eq!(lines.len(), 30);
}

/// A transaction whose parent is mined changes from height -1 to 0: the block does not mention it, its status changes.
#[test]
fn a_mined_parent_changes_the_status_of_its_child() {
    let mut stage = Stage::new();
    let coin = stage.mine(1, &[]);
    let parent = pay(&[coin], &[(2, 40_0000_0000)]);
    let parent_id = stage.receive(parent.clone());
    stage.receive(pay(&[OutPoint::new(parent_id, 0)], &[(3, 39_0000_0000)]));
    let mut talk = stage.talk();
    subscribe(&mut talk, 3);
    stage.mine(9, &[parent]);
    assert_eq!(talk.update(stage.last_update()), [changed(&stage, 3)]);
}
