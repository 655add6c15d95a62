use chartgate_audit::checkpoint::{Checkpoint, SignedCheckpoint};

fn believe(checkpoint: Checkpoint) -> SignedCheckpoint {
    SignedCheckpoint { checkpoint, note: String::new() }
}

fn main() {}
