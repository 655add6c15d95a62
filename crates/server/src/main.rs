//! The binary `chartgate`.
fn main() {}
