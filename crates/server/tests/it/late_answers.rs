//! Answers of an upstream that come once their caller was cut off.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::browser::{App, USER_SCOPE};
use crate::fakes::behind;
use crate::fakes::held::Held;
use crate::faults::until_recorded;
use crate::gateway::Gateway;
use crate::wire::Call;

/// A demo whose FHIR server's answers can be held up.
async fn demo(name: &str) -> (Gateway, Held) {
    let gateway = Gateway::demo(name, &[]);
    let real = behind::port(&gateway);
    let held = Held::start(real).await;
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    let config = config.replace(&format!("127.0.0.1:{real}/"), &format!("127.0.0.1:{}/", held.port));
    std::fs::write(gateway.config(), config).unwrap();
    gateway.hang_up();
    until_recorded(&gateway, "config.reload", 1).await;
    (gateway, held)
}

/// Until so many answers are held up.
async fn until_held(held: &Held, many: usize) {
    let begun = Instant::now();
    while held.waiting() < many {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} of {many}", held.waiting());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_comes_after_its_caller_was_cut_off_does_not_leave_and_what_was_done_is_told() {
    let (gateway, held) = &demo("late").await;
    let me = gateway.panel("dana")[0];
    let app = App::public(USER_SCOPE);
    let of = async |name: &str| app.tokens(gateway, &gateway.demo_person(name)).await;
    let (writer, reader) = (of("dana").await, of("dana").await);
    let read = || Call::get(&format!("/fhir/Patient/{me}")).bearer(&reader.access).to(gateway);
    assert_eq!(read().await.status, 200);

    // A change that was sent is done, and is told as it was.
    held.open(false);
    let vital = json!({ "resourceType": "Observation", "status": "final", "code": { "text": "late" },
        "subject": { "reference": format!("Patient/{me}") } });
    let writing = Call::fhir("POST", "/fhir/Observation", &vital).bearer(&writer.access).to(gateway);
    let ending = async {
        until_held(held, 1).await;
        gateway.command(&["session", "end", &writer.session()]);
        held.open(true);
    };
    let (written, ()) = tokio::join!(writing, ending);
    assert_eq!(written.status, 201, "{}", written.text());

    held.open(false);
    let search = Call::get(&format!("/fhir/Observation?patient={me}")).bearer(&reader.access).to(gateway);
    let disabling = async {
        until_held(held, 2).await;
        gateway.command(&["user", "disable", "dana"]);
        held.open(true);
    };
    let (one, found, ()) = tokio::join!(read(), search, disabling);
    for answer in [one, found] {
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(!answer.text().contains(me), "{}", answer.text());
    }
    let records = gateway.audit(&["--reason", "revoked-subject"]);
    let mut ended: Vec<_> =
        records.iter().map(|r| (&r["action"], &r["outcome"], &r["response"]["status"])).collect();
    ended.sort_by_key(|(action, ..)| action.to_string());
    let refused = |action| (json!(action), json!("deny"), json!(401));
    let expected = [refused("read"), refused("search")];
    assert!(ended.into_iter().eq(expected.iter().map(|(a, o, s)| (a, o, s))), "{records:?}");
}
