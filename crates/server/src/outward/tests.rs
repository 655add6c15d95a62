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
    let text = export(Standing::Behind, 5, 12, Some(100)).metrics(Timestamp::from_unix(160));
    for line in [
        "chartgate_export_lag_records{name=\"siem\"} 7",
        "chartgate_export_lag_seconds{name=\"siem\"} 60",
        "chartgate_export_delivered_total{name=\"siem\"} 3",
        "chartgate_export_behind{name=\"siem\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let text = export(Standing::Well, 12, 12, Some(100)).metrics(Timestamp::from_unix(160));
    assert!(text.contains("chartgate_export_lag_seconds{name=\"siem\"} 0\n"), "{text}");
    assert_eq!(Exports::default().metrics(Timestamp::from_unix(0)), "");
}
