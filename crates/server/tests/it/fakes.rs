//! What stands in for other people's servers.

pub(crate) mod behind;
pub(crate) mod between;
pub(crate) mod bulk;
pub(crate) mod dying;
pub(crate) mod held;
pub(crate) mod large;
pub(crate) mod secured;
pub(crate) mod streaming;
pub(crate) mod upstream;
