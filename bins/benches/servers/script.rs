//! Scripts by number: several kinds, most of which need no signature to be spent.

use bitcoin::hashes::{Hash, hash160, sha256};
use bitcoin::opcodes::all::{OP_DROP, OP_PUSHNUM_1};
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    OutPoint, PubkeyHash, ScriptBuf, Sequence, TxIn, WPubkeyHash, Witness, WitnessProgram,
    WitnessVersion,
};

/// The script with a number: each number another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Script(pub(crate) u32);

enum Kind {
    P2wsh,
    P2sh,
    P2shP2wsh,
    Bare,
    /// Those that ask for a signature, which nobody can make.
    P2pkh,
    P2wpkh,
    P2tr,
}

impl Script {
    fn kind(self) -> Kind {
        match self.0 % 20 {
            0..=9 => Kind::P2wsh,
            10..=12 => Kind::P2sh,
            13..=15 => Kind::P2shP2wsh,
            16 => Kind::Bare,
            17 => Kind::P2pkh,
            18 => Kind::P2wpkh,
            _ => Kind::P2tr,
        }
    }

    /// Whether its coins can be spent.
    pub(crate) fn is_spendable(self) -> bool {
        !matches!(self.kind(), Kind::P2pkh | Kind::P2wpkh | Kind::P2tr)
    }

    /// What has to be revealed, or stands in the output itself.
    fn revealed(self) -> ScriptBuf {
        Builder::new()
            .push_slice(self.0.to_le_bytes())
            .push_opcode(OP_DROP)
            .push_opcode(OP_PUSHNUM_1)
            .into_script()
    }

    /// What stands in the output.
    pub(crate) fn output(self) -> ScriptBuf {
        let key = self.0.to_le_bytes();
        match self.kind() {
            Kind::P2wsh => self.revealed().to_p2wsh(),
            Kind::P2sh => self.revealed().to_p2sh(),
            Kind::P2shP2wsh => self.revealed().to_p2wsh().to_p2sh(),
            Kind::Bare => self.revealed(),
            Kind::P2pkh => {
                let hash = PubkeyHash::from_raw_hash(hash160::Hash::hash(&key));
                ScriptBuf::new_p2pkh(&hash)
            }
            Kind::P2wpkh => {
                let hash = WPubkeyHash::from_raw_hash(hash160::Hash::hash(&key));
                ScriptBuf::new_p2wpkh(&hash)
            }
            Kind::P2tr => {
                let program = sha256::Hash::hash(&key).to_byte_array();
                let program = WitnessProgram::new(WitnessVersion::V1, &program).unwrap();
                ScriptBuf::new_witness_program(&program)
            }
        }
    }

    /// Spends a coin of this script.
    pub(crate) fn spend(self, outpoint: OutPoint) -> TxIn {
        let revealed = self.revealed();
        let push = |script: &ScriptBuf| {
            let bytes = PushBytesBuf::try_from(script.to_bytes()).unwrap();
            Builder::new().push_slice(bytes).into_script()
        };
        let witness = || Witness::from_slice(&[revealed.as_bytes()]);
        let (script_sig, witness) = match self.kind() {
            Kind::P2wsh => (ScriptBuf::new(), witness()),
            Kind::P2sh => (push(&revealed), Witness::new()),
            Kind::P2shP2wsh => (push(&revealed.to_p2wsh()), witness()),
            Kind::Bare | Kind::P2pkh | Kind::P2wpkh | Kind::P2tr => {
                (ScriptBuf::new(), Witness::new())
            }
        };
        TxIn {
            previous_output: outpoint,
            script_sig,
            sequence: Sequence::MAX,
            witness,
        }
    }
}
