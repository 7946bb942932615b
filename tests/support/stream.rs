//! Decisions out of bytes: a fuzzer's, or those of a seed.
#![allow(dead_code)] // each of those who decide by it takes a part

/// Bytes that decide. Behind their end they say 0 to everything.
pub struct Stream<'b>(&'b [u8]);

impl<'b> Stream<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Stream(bytes)
    }

    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Less than `n`; of nothing, the first.
    pub fn below(&mut self, n: usize) -> usize {
        let wide =
            if n > 256 { usize::from(u16::from_le_bytes([self.byte(), self.byte()])) } else { self.byte().into() };
        wide % n.max(1)
    }

    pub fn pick<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    /// At most so many characters of the alphabet.
    pub fn text(&mut self, alphabet: &[char], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| alphabet[self.below(alphabet.len())]).collect()
    }
}

/// Bytes from a seed (SplitMix64): the same for the same seed, on every machine.
pub fn of_seed(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let word = |_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(word).collect();
    bytes.truncate(len);
    bytes
}
