//! The one place that draws the system's randomness.

use std::cell::RefCell;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chartgate_values::{DrawnAhead, Entropy, Secret};

/// The system's randomness, by the cryptographic library.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    #[expect(clippy::expect_used, reason = "without randomness nothing may go on")]
    fn fill(&mut self, buffer: &mut [u8]) {
        // INVARIANT: fails only where the system has no randomness at all; every secret would be guessable.
        aws_lc_rs::rand::fill(buffer).expect("the system has no randomness");
    }
}

/// The same, drawn ahead on each thread: for names that are no secrets, of which every request needs one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameEntropy;

thread_local! {
    static FOR_NAMES: RefCell<DrawnAhead<SystemEntropy>> = RefCell::new(DrawnAhead::from(SystemEntropy));
}

impl Entropy for NameEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        FOR_NAMES.with_borrow_mut(|ahead| ahead.fill(buffer));
    }
}

/// A fresh secret of 256 bits in base64url: codes, refresh tokens, cookies, links.
pub(crate) fn opaque_secret() -> Secret<String> {
    let entropy: &mut dyn Entropy = &mut SystemEntropy;
    Secret::new(URL_SAFE_NO_PAD.encode(entropy.bytes::<32>()))
}

/// What is stored of a secret with enough randomness of its own: SHA-256, in base64url.
pub(crate) fn digest_of(secret: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, secret.as_ref()))
}

/// The same digest of what comes piece by piece.
pub(crate) struct RunningDigest(Context);

impl RunningDigest {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.finish())
    }
}

impl Default for RunningDigest {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}
