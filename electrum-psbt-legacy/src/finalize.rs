//! A transaction that the network takes, from one that has all its signatures.

use bitcoin::{Transaction, Witness};

use crate::transaction::{Input, PartialTransaction};
use crate::{FinalizeError, compose};

/// A transaction that the network takes.
pub type Finalized = Transaction;

impl PartialTransaction {
    /// The transaction of the network: public keys in place of extended ones, the signatures that are needed, no
    /// placeholders.
    ///
    /// Signatures are placed, not verified; see [`PartialTransaction::verify_signatures`].
    ///
    /// # Errors
    /// [`FinalizeError`] names the first input that lacks signatures, or of which nothing is known.
    pub fn finalize(&self) -> Result<Finalized, FinalizeError> {
        for (index, input) in self.inputs.iter().enumerate() {
            check(index, input)?;
        }
        Ok(self.transaction(|input| {
            final_input(input).expect("checked that every input has what it needs")
        }))
    }
}

/// scriptSig and witness in the form of the network, for a complete input.
pub(crate) fn final_input(input: &Input) -> Option<(bitcoin::ScriptBuf, Witness)> {
    match input.spend.is_final {
        true => Some((
            input.script_sig.clone(),
            Witness::from_slice(&input.witness.items),
        )),
        false => compose::complete(&input.spend),
    }
}

fn check(index: usize, input: &Input) -> Result<(), FinalizeError> {
    let spend = &input.spend;
    if !spend.is_complete() {
        return Err(match spend.required {
            0 => FinalizeError::UnknownInput(index),
            required => FinalizeError::MissingSignatures {
                input: index,
                present: spend.signatures_present(),
                required,
            },
        });
    }
    if !spend.is_final && !spend.program_fits() {
        return Err(FinalizeError::ProgramMismatch(index));
    }
    match final_input(input) {
        Some(_) => Ok(()),
        None => Err(FinalizeError::UnknownInput(index)),
    }
}
