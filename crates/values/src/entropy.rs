//! Randomness as an argument. Only the server's entropy module draws it from the system.

use zeroize::Zeroizing;

/// A source of bytes that nobody can predict.
pub trait Entropy: Send {
    /// Fills the whole buffer.
    fn fill(&mut self, buffer: &mut [u8]);
}

impl dyn Entropy + '_ {
    /// `N` fresh bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

/// Bytes of another source, of which many are drawn at once, because each draw costs what many bytes cost. What was given
/// away is wiped here.
pub struct DrawnAhead<E> {
    source: E,
    drawn: Zeroizing<[u8; DRAWN]>,
    used: usize,
}

/// So many bytes are drawn at once.
const DRAWN: usize = 512;

impl<E> DrawnAhead<E> {
    /// Draws from this source.
    pub fn from(source: E) -> Self {
        Self { source, drawn: Zeroizing::new([0; DRAWN]), used: DRAWN }
    }
}

impl<E: Entropy> Entropy for DrawnAhead<E> {
    fn fill(&mut self, buffer: &mut [u8]) {
        if buffer.len() > DRAWN {
            return self.source.fill(buffer);
        }
        if buffer.len() > DRAWN.saturating_sub(self.used) {
            self.source.fill(self.drawn.as_mut());
            self.used = 0;
        }
        for (given, drawn) in buffer.iter_mut().zip(self.drawn.iter_mut().skip(self.used)) {
            *given = std::mem::take(drawn);
        }
        self.used = self.used.saturating_add(buffer.len());
    }
}

impl<E> std::fmt::Debug for DrawnAhead<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<drawn ahead>")
    }
}

/// A repeatable stream (SHA-256 in counter mode over a seed). For tests and for the demo's invented data, never
/// for secrets.
#[derive(Clone, Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl SeededEntropy {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: 0, block: [0; 32], used: 32 }
    }

    fn next_byte(&mut self) -> u8 {
        if let Some(byte) = self.block.get(self.used) {
            self.used = self.used.saturating_add(1);
            return *byte;
        }
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(&self.seed.to_be_bytes());
        context.update(&self.counter.to_be_bytes());
        self.counter = self.counter.wrapping_add(1);
        self.block.copy_from_slice(context.finish().as_ref());
        self.used = 1;
        self.block[0]
    }
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.next_byte();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_ahead_is_given_once() {
        let (mut ahead, mut given) =
            (DrawnAhead::from(SeededEntropy::new(7)), std::collections::BTreeSet::new());
        for size in [12, 16, 300, 500, 512, 513, 16, 512].into_iter().cycle().take(200) {
            let mut piece = vec![0; size];
            ahead.fill(&mut piece);
            for chunk in piece.chunks_exact(12) {
                assert!(given.insert(chunk.to_vec()), "a piece of {size} repeats what was given");
            }
        }
        assert!(ahead.drawn.iter().take(ahead.used).all(|byte| *byte == 0), "what was given stays behind");
    }

    #[test]
    fn one_seed_gives_one_stream_however_it_is_drawn() {
        let mut whole = [0; 100];
        SeededEntropy::new(7).fill(&mut whole);
        let mut pieces = SeededEntropy::new(7);
        let mut drawn = Vec::new();
        for size in [1, 31, 33, 35] {
            let mut piece = vec![0; size];
            pieces.fill(&mut piece);
            drawn.extend(piece);
        }
        assert_eq!(whole.as_slice(), drawn.as_slice());
        let mut other = [0; 100];
        SeededEntropy::new(8).fill(&mut other);
        assert_ne!(whole, other);
    }
}
