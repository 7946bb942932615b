//! The store's SQL: one text for every database. Placeholders `$n`, `ON CONFLICT`, `RETURNING`, row limits; no JSON operators, no arrays, no
//! sequences. What differs between databases is in their migrations alone.

use std::fmt::Write as _;

pub mod fsck;
pub mod publication;
pub mod read;
pub mod search;
pub mod submission;
pub mod write;

pub use fsck::*;
pub use publication::*;
pub use read::*;
pub use search::*;
pub use submission::*;
pub use write::*;

/// A statement over a list: `WHERE x IN (…)`.
#[derive(Clone, Copy, Debug)]
pub struct InList {
    /// Up to the opening bracket. Its own arguments are `$1` to `$fixed`.
    pub before: &'static str,
    /// How many arguments are not of the list; those of the list follow them.
    pub fixed: usize,
    /// After the closing bracket.
    pub after: &'static str,
}

/// A statement that adds many rows at once.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Up to `VALUES`.
    pub before: &'static str,
    pub columns: usize,
    /// After the rows.
    pub after: &'static str,
}

/// How many of a list, or rows, one statement takes: few different texts, so that each is prepared once.
pub const PIECES: [usize; 3] = [64, 8, 1];

impl InList {
    /// The text for so many.
    pub fn text(&self, many: usize) -> String {
        let mut text = self.before.to_owned();
        text.push('(');
        placeholders(&mut text, self.fixed + 1, many);
        text.push(')');
        text.push_str(self.after);
        text
    }
}

impl Rows {
    /// The text for so many rows.
    pub fn text(&self, many: usize) -> String {
        let mut text = self.before.to_owned();
        for row in 0..many {
            text.push_str(if row == 0 { " (" } else { ", (" });
            placeholders(&mut text, row * self.columns + 1, self.columns);
            text.push(')');
        }
        text.push_str(self.after);
        text
    }
}

fn placeholders(text: &mut String, first: usize, many: usize) {
    for place in first..first + many {
        // Writing to a string does not fail.
        let _ = write!(text, "{}${place}", if place == first { "" } else { ", " });
    }
}

/// The list cut into pieces of the sizes in `PIECES`.
pub fn pieces<T>(mut list: &[T]) -> Vec<&[T]> {
    let mut pieces = Vec::new();
    for size in PIECES {
        while let Some((piece, rest)) = list.split_at_checked(size).filter(|_| size > 0) {
            pieces.push(piece);
            list = rest;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_count_their_placeholders() {
        let list = InList { before: "SELECT a FROM t WHERE c = $1 AND a IN ", fixed: 1, after: " LIMIT 5" };
        assert_eq!(list.text(2), "SELECT a FROM t WHERE c = $1 AND a IN ($2, $3) LIMIT 5");
        let rows = Rows { before: "INSERT INTO t (a, b) VALUES", columns: 2, after: " ON CONFLICT DO NOTHING" };
        assert_eq!(rows.text(2), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING");
    }

    #[test]
    fn pieces_are_the_list() {
        let list: Vec<usize> = (0..150).collect();
        let cut = pieces(&list);
        assert_eq!(cut.concat(), list);
        assert_eq!(cut.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [64, 64, 8, 8, 1, 1, 1, 1, 1, 1]);
        assert!(pieces::<u8>(&[]).is_empty());
    }
}
