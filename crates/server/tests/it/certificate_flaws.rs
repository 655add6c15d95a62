//! A certificate that whoever calls would refuse, or soon will: told at a start, at a reload and before, and measured.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::faults::until_recorded;
use crate::gateway::{Gateway, Scratch};
use crate::outward_syslog::ask_metrics;
use crate::routes::{SCOPE, serve_in};

/// Another certificate in the place of the gateway's.
fn replace(folder: &Path, host: &str, years: [i32; 2]) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years[0], 1, 1);
    params.not_after = date_time_ymd(years[1], 1, 1);
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join("tls/cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("tls/key.pem"), key.serialize_pem()).unwrap();
}

fn ends(gateway: &Gateway) -> i64 {
    let address = gateway.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
    let metrics = ask_metrics(&address, "/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("chartgate_tls_certificate_expires_timestamp_seconds "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_and_stops_nothing() {
    let gateway = serve_in(Scratch::new("certificate-flaws"), "", "", SCOPE);
    let check = || gateway.try_command(&["config", "check"]);
    let well = check();
    assert!(well.success && well.err.is_empty(), "{well:?}");
    assert!(!gateway.output().contains("the certificate needs"), "{}", gateway.output());
    assert!(ends(&gateway) > 1_767_225_600);

    replace(gateway.folder(), "elsewhere.example", [2019, 2020]);
    let flawed = check();
    assert!(flawed.success && flawed.out.contains("no errors"), "{flawed:?}");
    let file = gateway.config();
    for flaw in [
        "the certificate has expired: it ended at 2020-01-01T00:00:00.000000Z",
        "the certificate does not name `localhost`, the host of the issuer",
    ] {
        assert!(
            flawed.err.contains(&format!("chartgate: warning: {file}: tls.certificate: {flaw}\n")),
            "{flawed:?}"
        );
    }
    gateway.hang_up();
    until_recorded(&gateway, "config.reload", 2).await;
    assert_eq!(ends(&gateway), 1_577_836_800);
    let output = gateway.output();
    assert!(
        output.contains("it ended at 2020-01-01") && output.contains("does not name `localhost`"),
        "{output}"
    );

    replace(gateway.folder(), "localhost", [2090, 2100]);
    let early = check();
    assert!(
        early.success && early.err.contains("is not valid before 2090-01-01T00:00:00.000000Z"),
        "{early:?}"
    );
}
