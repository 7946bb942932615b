//! Two ways to read in-toto's metadata where its specifications leave room (design §5).

use crate::digest::DigestSet;

/// How metadata is read and judged.
///
/// Whatever passes strictly passes in `Compat` too: there a chain is first judged strictly, and once more as the reference reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// What an author can have meant, and nothing else: unknown fields, names with two spellings and weak hashes are refused.
    #[default]
    Strict,
    /// What the Python reference accepts as well, without executing anything: its typed model, its file names, its equality of hashes.
    Compat,
}

impl Profile {
    /// Whether two hash objects are of the same content: by R34, or letter by letter as the reference has it.
    pub fn same(self, one: &DigestSet, other: &DigestSet) -> bool {
        match self {
            Profile::Strict => one.agrees_with(other),
            Profile::Compat => one == other,
        }
    }
}
