//! Futures in boxes, without the way there.

use std::pin::Pin;

/// Begins a future in the box that it stays in. `Box::pin(begun)` makes it elsewhere first and then copies all of it, with the
/// room for whatever it comes to hold: for a request that is up to 15 KiB, of which a few words say anything yet. `begin` has to
/// be the call of an `async fn` and no block around one, for what comes of a block is copied still.
pub(crate) fn in_place<F>(begin: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), begin()))
}
