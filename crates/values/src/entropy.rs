//! Randomness as an argument. Only the server's entropy module draws it from the system.

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
