//! The parameters of a request, by position or by name.

use serde_json::value::RawValue;

use crate::json::{DecodeError, bind, is_null};

/// The parameters of a request, not read yet.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a>(Option<&'a RawValue>);

impl<'a> Params<'a> {
    /// No parameters: what a request without `params` has.
    pub const NONE: Self = Self(None);

    /// Takes the `params` of a message; absent and `null` count as none.
    pub fn new(raw: Option<&'a RawValue>) -> Self {
        Self(raw.filter(|raw| !is_null(raw)))
    }

    /// Reads the text of an array or an object.
    ///
    /// # Errors
    ///
    /// When the text is not JSON.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(|raw| Self::new(Some(raw)))
    }

    /// Returns what stands in the place of the parameters when that is a text alone, as old clients have it.
    pub(crate) fn bare(self) -> Option<&'a RawValue> {
        self.0.filter(|raw| raw.get().starts_with('"'))
    }

    /// Cuts the parameters apart: the first by position is the first of `names`, and so on, or by name.
    pub(crate) fn bind<const N: usize>(
        self,
        names: [&'static str; N],
    ) -> Result<[Option<&'a RawValue>; N], DecodeError> {
        match self.0 {
            Some(raw) => bind(raw, names, true).map_err(|error| error.within("params")),
            None => Ok([None; N]),
        }
    }
}
