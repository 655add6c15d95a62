use chartgate_audit::journal::Recorded;

fn another<T>(recorded: &Recorded<T>) -> Recorded<T> {
    recorded.clone()
}

fn main() {
    let _forged: Recorded<()> = Recorded::default();
}
