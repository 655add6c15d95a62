use chartgate_audit::checkpoint::{Checkpoint, SignedCheckpoint};
use chartgate_audit::journal::Recorded;

fn look(signed: &SignedCheckpoint) -> &Checkpoint {
    signed.checkpoint()
}

fn pass<T>(recorded: Recorded<T>) -> Recorded<T> {
    recorded
}

fn main() {
    let _: fn(Recorded<()>) -> Recorded<()> = pass;
    let _ = look;
}
