//! Random transactions, and one way to break each rule.

use bitcoin::opcodes::all::OP_NOP;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, absolute, transaction,
};

use crate::locks::{Fault, Lock, Owned, USUAL, data, sign};
use crate::world::{BEGIN, World, nowhere};

/// A transaction in the making.
pub(crate) struct Draft {
    pub(crate) tx: Transaction,
    pub(crate) spent: Vec<Owned>,
}

pub(crate) fn draft(coins: &[Owned], outputs: Vec<TxOut>) -> Draft {
    let input = |coin: &Owned| TxIn {
        previous_output: coin.outpoint,
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        ..TxIn::default()
    };
    let tx = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: coins.iter().map(input).collect(),
        output: outputs,
    };
    Draft {
        tx,
        spent: coins.to_vec(),
    }
}

impl Draft {
    pub(crate) fn signed(mut self) -> Transaction {
        sign(&mut self.tx, &self.spent, None);
        self.tx
    }

    fn faulty(mut self, input: usize, fault: Fault) -> Transaction {
        sign(&mut self.tx, &self.spent, Some((input, fault)));
        self.tx
    }
}

pub(crate) fn output(lock: Lock, value: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(value),
        script_pubkey: lock.script(),
    }
}

/// A random valid transaction, or one that is valid but for its fee, its locks, or its standing in the mempool.
pub(crate) fn random(world: &mut World) -> Option<Draft> {
    let coins = world.coins();
    // Most of the large ones are coinbases that are too young.
    let young = !world.random.one_in(8);
    let range = 20_000..if young { 1_000_000_000 } else { u64::MAX };
    let worthy: Vec<Owned> = coins
        .into_iter()
        .filter(|coin| range.contains(&coin.output.value.to_sat()))
        .collect();
    if worthy.is_empty() {
        return None;
    }
    let random = &mut world.random;
    let mut chosen: Vec<Owned> = Vec::new();
    for _ in 0..=random.below(3) {
        let coin = random.pick(&worthy);
        if chosen.iter().all(|other| other.outpoint != coin.outpoint) {
            chosen.push(coin);
        }
    }
    let total: u64 = chosen.iter().map(|coin| coin.output.value.to_sat()).sum();
    let count = 1 + random.below(4) as u64;
    let size = 200 * (chosen.len() as u64 + count);
    let rate = random.pick(&[0, 50, 99, 100, 150, 300, 1000, 1000, 2000, 5000, 20_000]);
    let fee = (size * rate / 1000).min(total / 2);
    let each = (total - fee) / count;
    let mut outputs: Vec<TxOut> = (0..count)
        .map(|_| output(random.pick(&USUAL), each))
        .collect();
    if random.one_in(10) {
        outputs.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: data(20),
        });
    }
    let mut draft = draft(&chosen, outputs);
    if random.one_in(6) {
        draft.tx.version = transaction::Version(3);
    }
    if random.one_in(12) {
        draft.tx.version = transaction::Version::ONE;
    }
    // Locks around what the next block allows.
    let height = world.ours.height() + 1;
    match random.below(12) {
        0 => {
            draft.tx.lock_time =
                absolute::LockTime::from_consensus(height - 2 + random.below(4) as u32)
        }
        1 => {
            let time = BEGIN + random.below(200_000) as u32;
            draft.tx.lock_time = absolute::LockTime::from_consensus(time);
        }
        2 => {
            let blocks = random.below(8) as u32;
            draft.tx.input[0].sequence = Sequence(blocks);
        }
        3 => {
            let units = random.below(12) as u32;
            draft.tx.input[0].sequence = Sequence(units | 1 << 22);
        }
        4 => draft
            .tx
            .input
            .iter_mut()
            .for_each(|input| input.sequence = Sequence::MAX),
        _ => {}
    }
    Some(draft)
}

/// A transaction that spends what another one in the mempool spends, too.
pub(crate) fn replacement(world: &mut World) -> Option<Transaction> {
    let mempool = world.ours.mempool();
    if mempool.is_empty() {
        return None;
    }
    let txid = world.random.pick(&mempool);
    let rival = world.ours.mempool_transaction(&txid)?;
    let mut draft = random(world)?;
    let outpoint = rival.input[world.random.below(rival.input.len())].previous_output;
    let coin = world.coin(&outpoint)?;
    draft.spent.push(coin.clone());
    draft.tx.input.push(TxIn {
        previous_output: outpoint,
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        ..TxIn::default()
    });
    let share = world.random.pick(&[0, 1, 20, 200, 1000]);
    let kept = coin.output.value.to_sat() * (1000 - share) / 1000;
    draft.tx.output.push(output(Lock::P2wpkh, kept));
    Some(draft.signed())
}

/// Transactions that each break one rule, with the rule's name.
#[allow(clippy::too_many_lines)]
pub(crate) fn broken(world: &World, coin: &Owned) -> Vec<(&'static str, Transaction)> {
    let value = coin.output.value.to_sat();
    let fee = 5_000;
    let good = || {
        draft(
            std::slice::from_ref(coin),
            vec![output(Lock::P2wpkh, value - fee)],
        )
    };
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut draft = good();
        change(&mut draft);
        draft.signed()
    };
    let outputs = |outputs: Vec<TxOut>| {
        let mut draft = good();
        draft.tx.output = outputs;
        draft.signed()
    };
    let script = |script_pubkey: ScriptBuf, amount: u64| TxOut {
        value: Amount::from_sat(amount),
        script_pubkey,
    };
    let height = world.ours.height();
    let mut all = vec![
        ("no outputs", outputs(vec![])),
        (
            "more than there is",
            outputs(vec![output(Lock::P2wpkh, value + 1)]),
        ),
        (
            "more than all",
            outputs(vec![output(Lock::P2wpkh, 2_100_000_000_000_001)]),
        ),
        (
            "negative",
            outputs(vec![script(Lock::P2wpkh.script(), u64::MAX)]),
        ),
        (
            "more than all together",
            outputs(vec![output(Lock::P2wpkh, 2_100_000_000_000_000); 2]),
        ),
        ("an unknown input", {
            let mut draft = good();
            draft.tx.input[0].previous_output = nowhere();
            draft.signed()
        }),
        ("an output that is not there", {
            let mut draft = good();
            draft.tx.input[0].previous_output.vout += 1000;
            draft.signed()
        }),
        ("the same input twice", {
            let mut draft = good();
            draft.tx.input.push(draft.tx.input[0].clone());
            draft.signed()
        }),
        ("a null input", {
            let mut draft = good();
            draft.tx.input.push(TxIn {
                previous_output: OutPoint::null(),
                ..TxIn::default()
            });
            draft.signed()
        }),
        ("a coinbase", {
            let mut draft = good();
            draft.tx.input[0].previous_output = OutPoint::null();
            draft.tx.input[0].script_sig = ScriptBuf::from_bytes(vec![1, 2, 3]);
            draft.tx
        }),
        ("a coinbase that says too much", {
            let mut draft = good();
            draft.tx.input[0].previous_output = OutPoint::null();
            draft.tx.input[0].script_sig = ScriptBuf::from_bytes(vec![1; 101]);
            draft.tx
        }),
        (
            "version 0",
            with(&|draft| draft.tx.version = transaction::Version(0)),
        ),
        (
            "version 4",
            with(&|draft| draft.tx.version = transaction::Version(4)),
        ),
        (
            "version -1",
            with(&|draft| draft.tx.version = transaction::Version(-1)),
        ),
        (
            "locked by height",
            with(&|draft| draft.tx.lock_time = absolute::LockTime::from_consensus(height + 1)),
        ),
        (
            "locked by height, just not",
            with(&|draft| draft.tx.lock_time = absolute::LockTime::from_consensus(height)),
        ),
        (
            "locked by time",
            with(&|draft| draft.tx.lock_time = absolute::LockTime::from_consensus(3_000_000_000)),
        ),
        (
            "locked by age in blocks",
            with(&|draft| draft.tx.input[0].sequence = Sequence(60_000)),
        ),
        (
            "locked by age in time",
            with(&|draft| draft.tx.input[0].sequence = Sequence(1 << 22 | 60_000)),
        ),
        (
            "an age that does not count",
            with(&|draft| draft.tx.input[0].sequence = Sequence(1 << 31 | 60_000)),
        ),
        (
            "dust",
            outputs(vec![
                output(Lock::P2wpkh, 293),
                output(Lock::P2wpkh, value - fee),
            ]),
        ),
        (
            "not quite dust",
            outputs(vec![
                output(Lock::P2wpkh, 294),
                output(Lock::P2wpkh, value - fee),
            ]),
        ),
        (
            "dust to a key",
            outputs(vec![
                output(Lock::P2pkh, 545),
                output(Lock::P2wpkh, value - fee),
            ]),
        ),
        (
            "two kinds of dust",
            outputs(vec![
                output(Lock::P2wpkh, 1),
                output(Lock::P2pkh, 1),
                output(Lock::P2wpkh, value - fee),
            ]),
        ),
        (
            "dust without a fee",
            outputs(vec![output(Lock::Anchor, 0), output(Lock::P2wpkh, value)]),
        ),
        (
            "an anchor",
            outputs(vec![
                output(Lock::Anchor, 240),
                output(Lock::P2wpkh, value - fee),
            ]),
        ),
        (
            "a bare script",
            outputs(vec![output(Lock::BareTrue, value - fee)]),
        ),
        (
            "a witness of the future",
            outputs(vec![
                output(Lock::Future, 1_000),
                output(Lock::P2wpkh, value - fee - 1_000),
            ]),
        ),
        (
            "too much data",
            outputs(vec![
                script(data(99_999), 0),
                output(Lock::P2wpkh, value - 50_000),
            ]),
        ),
        (
            "as much data as may be",
            outputs(vec![
                script(data(99_994), 0),
                output(Lock::P2wpkh, value - 50_000),
            ]),
        ),
        (
            "data in two",
            outputs(vec![
                script(data(60_000), 0),
                script(data(40_000), 0),
                output(Lock::P2wpkh, value - 50_000),
            ]),
        ),
        (
            "data that is no push",
            outputs(vec![
                script(ScriptBuf::from_bytes(vec![0x6a, 0x61]), 0),
                output(Lock::P2wpkh, value - fee),
            ]),
        ),
        (
            "burning",
            outputs(vec![
                script(data(3), 5_000),
                output(Lock::P2wpkh, value - fee - 5_000),
            ]),
        ),
        (
            "too small",
            outputs(vec![script(ScriptBuf::from_bytes(vec![0x6a]), 0)]),
        ),
        ("too large", {
            let mut outputs = vec![output(Lock::P2pkh, 1_000); 3_000];
            outputs[0].value = Amount::from_sat(value - 3_100_000 - 300_000);
            let mut draft = good();
            draft.tx.output = outputs;
            draft.signed()
        }),
        ("no fee", outputs(vec![output(Lock::P2wpkh, value)])),
        ("a foreign script in the way", {
            let mut tx = good().signed();
            tx.input[0].script_sig = Builder::new().push_opcode(OP_NOP).into_script();
            tx
        }),
        ("a long script in the way", {
            let mut tx = good().signed();
            let long = PushBytesBuf::try_from(vec![1; 1_700]).unwrap();
            tx.input[0].script_sig = Builder::new().push_slice(long).into_script();
            tx
        }),
        ("one more push", {
            let mut tx = good().signed();
            tx.input[0].script_sig = Builder::new()
                .push_int(1)
                .push_slice(PushBytesBuf::try_from(tx.input[0].script_sig.to_bytes()).unwrap())
                .into_script();
            tx
        }),
        ("one more witness", {
            let mut tx = good().signed();
            tx.input[0].witness.push([1; 20]);
            tx
        }),
        ("a witness that is too long", {
            let mut tx = good().signed();
            let mut items: Vec<Vec<u8>> = tx.input[0].witness.to_vec();
            items.insert(0, vec![1; 81]);
            tx.input[0].witness = Witness::from_slice(&items);
            tx
        }),
        ("an annex", {
            let mut tx = good().signed();
            tx.input[0].witness.push([0x50, 1]);
            tx
        }),
    ];
    for (name, fault) in [
        ("another's signature", Fault::WrongKey),
        ("a signature for another amount", Fault::WrongAmount),
        ("no signature", Fault::Nothing),
        ("a signature with the larger number", Fault::HighS),
    ] {
        all.push((name, good().faulty(0, fault)));
    }
    let mut draft = good();
    draft.tx.version = transaction::Version(0);
    draft.tx.output[0].value = Amount::from_sat(value + 1);
    all.push(("two rules at once", draft.signed()));
    all
}
