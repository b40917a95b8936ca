use std::task::Wake;

use proptest::prelude::*;

use super::*;

fn subnet(number: u8) -> Option<Subnet> {
    Some(Subnet::of([10, 0, number, 1].into(), 24))
}

struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

/// Returns the room that was waited for, if it is there.
fn ready(waiting: &mut Waiting) -> Option<Room> {
    let waker = Waker::from(Arc::new(Quiet));
    match Pin::new(waiting).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(room) => Some(room),
        Poll::Pending => None,
    }
}

#[test]
fn who_waits_is_served_when_there_is_room_and_nobody_overtakes() {
    let budget = Budget::new(100);
    let mut first = budget.take(None, 80).unwrap();
    assert!(budget.take(subnet(1), 30).is_none());
    let mut large = budget.wait(subnet(1), 60);
    let mut small = budget.wait(subnet(2), 10);
    assert!(ready(&mut large).is_none());
    assert!(ready(&mut small).is_none(), "the large one was first");
    assert!(budget.is_wanted());
    assert!(budget.take(subnet(3), 1).is_none());
    first.shrink_to(30);
    let large = ready(&mut large).unwrap();
    let small = ready(&mut small).unwrap();
    assert_eq!((large.bytes(), small.bytes()), (60, 10));
    assert!(!budget.is_wanted());
    drop((first, large, small));
    assert_eq!(budget.used(), 0);
}

/// The first wish of a subnet is not behind the others of one that holds something already.
#[test]
fn those_that_hold_nothing_come_first_and_then_turns_go_round() {
    let budget = Budget::new(100);
    let all = budget.take(None, 100).unwrap();
    let mut waiting: Vec<_> = [1, 1, 1, 2, 2, 3]
        .map(|number| (number, budget.wait(subnet(number), 10)))
        .into();
    drop(all);
    // There is room for all of these.
    let rooms: Vec<_> = waiting
        .iter_mut()
        .map(|(_, waiting)| ready(waiting).unwrap())
        .collect();
    let mut rest = budget.take(None, 40).unwrap();
    let mut late = [1, 2, 3, 4].map(|number| (number, budget.wait(subnet(number), 10)));
    let mut served = Vec::new();
    let mut taken = Vec::new();
    for left in [30, 20, 10, 0] {
        rest.shrink_to(left);
        for (number, waiting) in &mut late {
            if let Some(room) = ready(waiting) {
                served.push(*number);
                taken.push(room);
            }
        }
    }
    assert_eq!(served, [4, 3, 2, 1], "by what they hold");
    drop((rooms, taken));
    assert_eq!(budget.used(), 0);
}

#[test]
fn a_subnet_leaves_some_for_others_and_waits_for_itself() {
    let budget = Budget::new(100);
    let first = budget.take(subnet(1), 30).unwrap();
    let second = budget.take(subnet(1), 20).unwrap();
    let mut third = budget.wait(subnet(1), 10);
    assert!(ready(&mut third).is_none());
    // Others pass, and those who are exempt are in no subnet.
    let other = budget.take(subnet(2), 40).unwrap();
    let exempt = budget.take(None, 10).unwrap();
    drop(first);
    assert!(ready(&mut third).is_some());
    drop((second, other, exempt, third));
    assert_eq!(budget.used(), 0);
}

#[test]
fn more_than_there_is_is_all_there_is() {
    let budget = Budget::new(100);
    let little = budget.take(subnet(1), 1).unwrap();
    let mut much = budget.wait(subnet(2), 1_000_000);
    assert!(ready(&mut much).is_none());
    drop(little);
    let much = ready(&mut much).unwrap();
    assert_eq!(much.bytes(), 100);
    let account = Account::new(&budget, subnet(2), 0);
    assert!(account.suffices(&much, 1_000_000));
    assert!(!account.suffices(&budget.room(None, 0), 1));
}

#[test]
fn an_account_keeps_what_it_needs() {
    let budget = Budget::new(100);
    let mut account = Account::new(&budget, subnet(1), 10);
    assert!(account.grow_to(10));
    assert_eq!(budget.used(), 0);
    assert!(account.grow_to(60));
    assert!(account.has_room());
    account.settle(30);
    assert_eq!((account.granted(), budget.used()), (30, 20));
    // What is there is counted, whether there was room or not.
    account.settle(150);
    assert_eq!(budget.used(), 140);
    assert!(budget.take(subnet(2), 1).is_none());
    account.settle(5);
    assert!(!account.has_room());
    drop(account);
    assert_eq!(budget.used(), 0);
}

proptest! {
    /// Whatever comes and goes: no more is granted than there is, what is free goes to somebody who waits, and when all is
    /// given back nothing is left.
    #[test]
    fn nothing_is_lost_and_nobody_waits_for_nothing(
        steps in proptest::collection::vec((0u8..5, 1usize..60, any::<u8>()), 1..200),
    ) {
        let budget = Budget::new(100);
        let mut rooms: Vec<Room> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        for (number, bytes, what) in steps {
            let of = (number > 0).then(|| subnet(number)).flatten();
            let at = usize::from(what) / 4;
            match what % 4 {
                0 => rooms.extend(budget.take(of, bytes)),
                1 => waiting.push(budget.wait(of, bytes)),
                2 if !rooms.is_empty() => drop(rooms.swap_remove(at % rooms.len())),
                3 if !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
                _ => {}
            }
            for number in (0..waiting.len()).rev() {
                if let Some(room) = ready(&mut waiting[number]) {
                    rooms.push(room);
                    drop(waiting.swap_remove(number));
                }
            }
            let used: usize = rooms.iter().map(Room::bytes).sum();
            prop_assert_eq!(used, budget.used());
            prop_assert!(used <= 100);
            prop_assert!(used > 0 || waiting.is_empty());
            prop_assert_eq!(budget.is_wanted(), !waiting.is_empty());
        }
        drop((rooms, waiting));
        prop_assert_eq!(budget.used(), 0);
        let state = budget.state();
        prop_assert!(state.held.is_empty() && state.queues.is_empty());
        prop_assert!(state.order.is_empty() && state.tickets.is_empty());
    }
}
