//! What stands in for other people's servers.

pub(crate) mod upstream;
