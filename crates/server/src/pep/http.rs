//! Plain HTTP routes: methods and paths by rule.

mod rules;
mod session;
mod upstream;

pub(super) use session::handle;
pub(super) use upstream::HttpUpstream;
