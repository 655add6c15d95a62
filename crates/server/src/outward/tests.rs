use super::*;

fn export(standing: Standing, position: u64, size: u64, oldest: Option<i64>) -> Exports {
    let state = State {
        position,
        size,
        oldest: oldest.map(Timestamp::from_unix),
        delivered: 3,
        standing,
        ..State::default()
    };
    Exports(vec![Arc::new(Export {
        name: "siem".to_owned(),
        kind: "syslog",
        place: "siem.test:6514".to_owned(),
        patients: Patients::Pseudonyms,
        lag_alert: Duration::from_secs(60),
        state: Mutex::new(state),
    })])
}

#[test]
fn metrics_tell_how_many_records_and_how_old_the_oldest_is() {
    let text = export(Standing::Behind, 5, 12, Some(100)).metrics(Timestamp::from_unix(160), None);
    for line in [
        "chartgate_export_lag_records{name=\"siem\"} 7",
        "chartgate_export_lag_seconds{name=\"siem\"} 60",
        "chartgate_export_delivered_total{name=\"siem\"} 3",
        "chartgate_export_behind{name=\"siem\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    // One that does not look is behind all the same.
    let text = export(Standing::Well, 5, 5, Some(100)).metrics(Timestamp::from_unix(160), Some(12));
    assert!(text.contains("chartgate_export_lag_records{name=\"siem\"} 7\n"), "{text}");
    assert!(text.contains("chartgate_export_lag_seconds{name=\"siem\"} 60\n"), "{text}");
    assert!(text.contains("chartgate_export_next_record{name=\"siem\"} 5\n"), "{text}");
    let text = export(Standing::Well, 12, 12, Some(100)).metrics(Timestamp::from_unix(160), None);
    assert!(text.contains("chartgate_export_lag_seconds{name=\"siem\"} 0\n"), "{text}");
    assert_eq!(Exports::default().metrics(Timestamp::from_unix(0), None), "");
}

#[test]
fn what_cannot_be_read_is_as_old_as_the_first_failure() {
    let at = Timestamp::from_unix;
    let mut state = State { size: 9, failing_since: Some(at(100)), ..State::default() };
    assert_eq!(state.age(at(160)), Duration::from_secs(60), "nothing could be read since the start");
    state.size = 0;
    assert_eq!(state.age(at(160)), Duration::from_secs(60), "nor how much there is");
    state = State { size: 9, oldest: Some(at(40)), failing_since: Some(at(100)), ..State::default() };
    assert_eq!(state.age(at(160)), Duration::from_secs(120));
    state.is_up(Some(at(150)));
    assert_eq!(state.age(at(160)), Duration::from_secs(10), "what is left is no older");
    state.is_up(None);
    assert_eq!(state.age(at(160)), Duration::ZERO);
    let waited = Duration::from_secs(90);
    state = State { size: 9, oldest: Some(at(900)), ..State::default() };
    state.waiting_since = std::time::Instant::now().checked_sub(waited);
    assert!(state.age(at(160)) >= waited, "whatever clock they were made by");
    state.is_up(Some(at(900)));
    assert_eq!(state.age(at(160)), Duration::ZERO);
    state.sees(Some(9));
    assert!(state.waiting_since.is_some() && state.age(at(160)) < waited);
}
