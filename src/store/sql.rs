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

/// Of a list one statement takes so many at most; of rows as well. Fewer are a power of two: few different texts, so that each is prepared
/// once a connection.
pub const PIECE_MAX: usize = 64;

impl InList {
    /// The text for so many of the list, a power of two.
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

/// The rows cut into pieces whose sizes are powers of two.
pub fn pieces<T>(mut rows: &[T]) -> Vec<&[T]> {
    let mut pieces = Vec::new();
    while !rows.is_empty() {
        let size = if rows.len() < PIECE_MAX { 1 << rows.len().ilog2() } else { PIECE_MAX };
        let (piece, rest) = rows.split_at(size);
        pieces.push(piece);
        rows = rest;
    }
    pieces
}

/// The list cut into pieces, and what each is filled up with to a power of two: naming one twice finds it once.
pub fn filled<T: Copy>(list: &[T]) -> impl Iterator<Item = (&[T], impl Iterator<Item = T> + Clone)> {
    list.chunks(PIECE_MAX).map(|piece| {
        let missing = piece.len().next_power_of_two() - piece.len();
        (piece, piece.iter().copied().take(1).cycle().take(missing))
    })
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
        assert_eq!(cut.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [64, 64, 16, 4, 2]);
        assert!(pieces::<u8>(&[]).is_empty());
    }

    #[test]
    fn a_list_is_filled_up_with_what_it_has() {
        let whole = |list: &[usize]| -> Vec<Vec<usize>> {
            filled(list).map(|(piece, fill)| piece.iter().copied().chain(fill).collect()).collect()
        };
        assert_eq!(whole(&[7, 8, 9]), [[7, 8, 9, 7]]);
        assert_eq!(whole(&[7, 8]), [[7, 8]]);
        let list: Vec<usize> = (0..69).collect();
        assert_eq!(whole(&list), [&list[..64], &[64, 65, 66, 67, 68, 64, 64, 64]]);
        assert!(whole(&[]).is_empty());
    }
}
