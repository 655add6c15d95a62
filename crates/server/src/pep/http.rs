//! Plain HTTP routes: methods and paths by rule.

mod rules;
pub(super) mod second;
mod session;
mod stream;
mod upstream;

pub(super) use session::handle;
pub(crate) use stream::{Streams, Watched};
pub(super) use upstream::HttpUpstream;
