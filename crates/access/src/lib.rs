//! Decisions: sessions, login, grants, tokens, policy. Synchronous; takes values, returns values.
//!
//! Nothing here opens a socket or a file, reads a clock or draws randomness: what it needs of these it is given.

pub mod approval;
pub mod client;
pub mod emergency;
pub mod grant;
pub mod ids;
pub mod issue;
pub mod key_life;
pub mod login;
mod obligation;
pub mod pdp;
pub mod permit;
pub mod principal;
pub mod profile;
pub mod purpose;
pub mod session;
pub mod token;
