//! What all other crates speak in: time, randomness, secrets, protected health information, sealing, addresses.
//!
//! Nothing here reads the world. The clock and the entropy source are traits; the server implements them once.

mod entropy;
pub mod mac;
mod network;
mod phi;
pub mod seal;
mod secret;
mod timestamp;

pub use entropy::{DrawnAhead, Entropy, SeededEntropy};
pub use network::network_of;
pub use phi::Phi;
pub use secret::Secret;
pub use timestamp::{Clock, ParseTimestampError, Timestamp, TimestampText};

#[cfg(any(test, feature = "testing"))]
pub use timestamp::FixedClock;
