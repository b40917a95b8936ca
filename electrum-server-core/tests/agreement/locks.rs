//! Output scripts of every kind that wallets use, and how they are spent.

use std::sync::LazyLock;

use bitcoin::hashes::Hash;
use bitcoin::key::{TapTweak, UntweakedPublicKey};
use bitcoin::opcodes::all::{
    OP_CHECKMULTISIG, OP_CHECKSIG, OP_DROP, OP_PUSHNUM_1, OP_PUSHNUM_2, OP_RETURN,
};
use bitcoin::opcodes::{OP_0, OP_TRUE};
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::{Keypair, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::taproot::{LeafVersion, TapLeafHash, TaprootBuilder, TaprootSpendInfo};
use bitcoin::{
    Amount, CompressedPublicKey, OutPoint, PublicKey, Script, ScriptBuf, Transaction, TxOut,
    Witness, ecdsa,
};

/// A kind of output script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    P2pk,
    P2pkh,
    BareMultisig,
    P2shMultisig,
    P2shP2wpkh,
    P2wpkh,
    P2wshKey,
    /// Anybody can spend it by revealing the script.
    P2wshOpen,
    P2trKey,
    P2trScript,
    /// Anybody can spend it with nothing.
    Anchor,
    /// Not for the mempool.
    BareTrue,
    /// A witness program of the future.
    Future,
}

pub(crate) const USUAL: [Lock; 10] = [
    Lock::P2pk,
    Lock::P2pkh,
    Lock::BareMultisig,
    Lock::P2shMultisig,
    Lock::P2shP2wpkh,
    Lock::P2wpkh,
    Lock::P2wshKey,
    Lock::P2wshOpen,
    Lock::P2trKey,
    Lock::P2trScript,
];

/// A coin that the test can spend.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) outpoint: OutPoint,
    pub(crate) output: TxOut,
    pub(crate) lock: Lock,
}

/// How a signature goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    WrongKey,
    WrongAmount,
    Nothing,
    HighS,
}

fn key(number: u8) -> Keypair {
    let secp = Secp256k1::new();
    Keypair::from_secret_key(&secp, &SecretKey::from_slice(&[number; 32]).unwrap())
}

fn public(number: u8) -> PublicKey {
    PublicKey::new(key(number).public_key())
}

fn compressed() -> CompressedPublicKey {
    CompressedPublicKey(key(1).public_key())
}

fn internal() -> UntweakedPublicKey {
    key(1).x_only_public_key().0
}

fn multisig() -> ScriptBuf {
    Builder::new()
        .push_opcode(OP_PUSHNUM_1)
        .push_key(&public(1))
        .push_key(&public(2))
        .push_opcode(OP_PUSHNUM_2)
        .push_opcode(OP_CHECKMULTISIG)
        .into_script()
}

fn check_key() -> ScriptBuf {
    Builder::new()
        .push_key(&public(1))
        .push_opcode(OP_CHECKSIG)
        .into_script()
}

fn open() -> ScriptBuf {
    Builder::new()
        .push_int(77)
        .push_opcode(OP_DROP)
        .push_opcode(OP_TRUE)
        .into_script()
}

fn leaf() -> ScriptBuf {
    Builder::new()
        .push_x_only_key(&internal())
        .push_opcode(OP_CHECKSIG)
        .into_script()
}

fn tree() -> TaprootSpendInfo {
    TaprootBuilder::new()
        .add_leaf(0, leaf())
        .unwrap()
        .finalize(&Secp256k1::new(), internal())
        .unwrap()
}

/// Every kind's script, made once: keys take long to multiply.
static SCRIPTS: LazyLock<Vec<(Lock, ScriptBuf)>> = LazyLock::new(|| {
    let rare = [Lock::Anchor, Lock::BareTrue, Lock::Future];
    let all = USUAL.into_iter().chain(rare);
    all.map(|lock| (lock, lock.make())).collect()
});

impl Lock {
    pub(crate) fn script(self) -> ScriptBuf {
        let mut found = SCRIPTS.iter().filter(|(lock, _)| *lock == self);
        found.next().unwrap().1.clone()
    }

    fn make(self) -> ScriptBuf {
        match self {
            Self::P2pk => check_key(),
            Self::P2pkh => ScriptBuf::new_p2pkh(&public(1).pubkey_hash()),
            Self::BareMultisig => multisig(),
            Self::P2shMultisig => multisig().to_p2sh(),
            Self::P2shP2wpkh => ScriptBuf::new_p2wpkh(&compressed().wpubkey_hash()).to_p2sh(),
            Self::P2wpkh => ScriptBuf::new_p2wpkh(&compressed().wpubkey_hash()),
            Self::P2wshKey => check_key().to_p2wsh(),
            Self::P2wshOpen => open().to_p2wsh(),
            Self::P2trKey => ScriptBuf::new_p2tr(&Secp256k1::new(), internal(), None),
            Self::P2trScript => ScriptBuf::new_p2tr_tweaked(tree().output_key()),
            Self::Anchor => ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]),
            Self::BareTrue => ScriptBuf::from_bytes(vec![0x51]),
            Self::Future => ScriptBuf::from_bytes([&[0x52, 0x20][..], &[7; 32]].concat()),
        }
    }

    pub(crate) fn of(script: &Script) -> Option<Self> {
        let mut found = SCRIPTS.iter().filter(|(_, other)| **other == *script);
        found.next().map(|(lock, _)| *lock)
    }
}

/// Anything that is never spent: data.
pub(crate) fn data(length: usize) -> ScriptBuf {
    let data = PushBytesBuf::try_from(vec![0x2a; length]).unwrap();
    Builder::new()
        .push_opcode(OP_RETURN)
        .push_slice(data)
        .into_script()
}

/// Signs every input; the one with a fault goes wrong.
pub(crate) fn sign(tx: &mut Transaction, spent: &[Owned], fault: Option<(usize, Fault)>) {
    let outputs: Vec<TxOut> = spent.iter().map(|coin| coin.output.clone()).collect();
    for (index, coin) in spent.iter().enumerate() {
        let fault = fault.filter(|(at, _)| *at == index).map(|(_, fault)| fault);
        let (script_sig, witness) = unlock(tx, index, coin, &outputs, fault);
        tx.input[index].script_sig = script_sig;
        tx.input[index].witness = witness;
    }
}

fn unlock(
    tx: &Transaction,
    index: usize,
    coin: &Owned,
    outputs: &[TxOut],
    fault: Option<Fault>,
) -> (ScriptBuf, Witness) {
    if fault == Some(Fault::Nothing) {
        return Default::default();
    }
    let mut value = coin.output.value;
    if fault == Some(Fault::WrongAmount) {
        value += Amount::ONE_SAT;
    }
    let secp = Secp256k1::new();
    let pair = key(if fault == Some(Fault::WrongKey) { 3 } else { 1 });
    let ecdsa = |message: Message| {
        let mut signature = secp.sign_ecdsa(&message, &pair.secret_key());
        if fault == Some(Fault::HighS) {
            signature = high_s(&signature);
        }
        let sighash_type = EcdsaSighashType::All;
        ecdsa::Signature {
            signature,
            sighash_type,
        }
        .to_vec()
    };
    let all = EcdsaSighashType::All;
    let mut cache = SighashCache::new(tx);
    let legacy = |script: &Script| {
        let hash = cache
            .legacy_signature_hash(index, script, all.to_u32())
            .unwrap();
        ecdsa(Message::from_digest(hash.to_byte_array()))
    };
    let push = |parts: &[&[u8]]| {
        let mut builder = Builder::new();
        for part in parts {
            builder = match part.is_empty() {
                true => builder.push_opcode(OP_0),
                false => builder.push_slice(PushBytesBuf::try_from(part.to_vec()).unwrap()),
            };
        }
        builder.into_script()
    };
    let public_bytes = public(1).to_bytes();
    match coin.lock {
        Lock::P2pk => (push(&[&legacy(&check_key())]), Witness::new()),
        Lock::P2pkh => {
            let signature = legacy(&Lock::P2pkh.script());
            (push(&[&signature, &public_bytes]), Witness::new())
        }
        Lock::BareMultisig => (push(&[&[], &legacy(&multisig())]), Witness::new()),
        Lock::P2shMultisig => {
            let script = multisig();
            let signature = legacy(&script);
            (push(&[&[], &signature, script.as_bytes()]), Witness::new())
        }
        Lock::P2shP2wpkh | Lock::P2wpkh => {
            let program = Lock::P2wpkh.script();
            let hash = cache
                .p2wpkh_signature_hash(index, &program, value, all)
                .unwrap();
            let signature = ecdsa(Message::from_digest(hash.to_byte_array()));
            let witness = Witness::from_slice(&[signature, public_bytes]);
            match coin.lock {
                Lock::P2wpkh => (ScriptBuf::new(), witness),
                _ => (push(&[program.as_bytes()]), witness),
            }
        }
        Lock::P2wshKey => {
            let script = check_key();
            let hash = cache
                .p2wsh_signature_hash(index, &script, value, all)
                .unwrap();
            let signature = ecdsa(Message::from_digest(hash.to_byte_array()));
            let witness = Witness::from_slice(&[signature, script.into_bytes()]);
            (ScriptBuf::new(), witness)
        }
        Lock::P2wshOpen => {
            let script = match fault {
                Some(_) => check_key(),
                None => open(),
            };
            (
                ScriptBuf::new(),
                Witness::from_slice(&[script.into_bytes()]),
            )
        }
        Lock::P2trKey | Lock::P2trScript => {
            // Whoever signs takes all inputs into account, known or not.
            let mut outputs = outputs.to_vec();
            outputs.resize(tx.input.len(), outputs[0].clone());
            outputs[index].value = value;
            let prevouts = Prevouts::All(&outputs);
            if coin.lock == Lock::P2trKey {
                let hash = cache
                    .taproot_key_spend_signature_hash(index, &prevouts, TapSighashType::Default)
                    .unwrap();
                let tweaked = pair.tap_tweak(&secp, None).to_keypair();
                let message = Message::from_digest(hash.to_byte_array());
                let signature = secp.sign_schnorr_no_aux_rand(&message, &tweaked);
                let witness = Witness::from_slice(&[signature.serialize().to_vec()]);
                return (ScriptBuf::new(), witness);
            }
            let hash = cache
                .taproot_script_spend_signature_hash(
                    index,
                    &prevouts,
                    TapLeafHash::from_script(&leaf(), LeafVersion::TapScript),
                    TapSighashType::Default,
                )
                .unwrap();
            let message = Message::from_digest(hash.to_byte_array());
            let signature = secp.sign_schnorr_no_aux_rand(&message, &pair);
            let control = tree()
                .control_block(&(leaf(), LeafVersion::TapScript))
                .unwrap();
            let items = [
                signature.serialize().to_vec(),
                leaf().into_bytes(),
                control.serialize(),
            ];
            (ScriptBuf::new(), Witness::from_slice(&items))
        }
        Lock::Anchor | Lock::BareTrue | Lock::Future => Default::default(),
    }
}

/// The same signature with the other of the two numbers that verify.
fn high_s(
    signature: &bitcoin::secp256k1::ecdsa::Signature,
) -> bitcoin::secp256k1::ecdsa::Signature {
    let mut compact = signature.serialize_compact();
    let s = SecretKey::from_slice(&compact[32..]).unwrap().negate();
    compact[32..].copy_from_slice(&s.secret_bytes());
    bitcoin::secp256k1::ecdsa::Signature::from_compact(&compact).unwrap()
}
