use chartgate_audit::journal::Recorded;

fn main() {
    let _forged = Recorded { index: 7, carried: "an answer that nobody recorded" };
}
