use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

/// A certificate for these hosts, good in the year 2026.
fn certificate(hosts: &[&str]) -> CertificateDer<'static> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const HOST: &str = "gate.example.org";

#[test]
fn a_certificate_is_told_of_two_weeks_before_its_end_and_not_before_that() {
    let chain = [certificate(&[HOST])];
    let told = |now: &str| flaws(&chain, HOST, at(now));
    let (begins, ends) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    assert_eq!(validity(&chain[0]), Some((begins, ends)));
    assert_eq!(told("2025-12-31T23:59:59Z"), [Flaw::NotYet(Link(0), begins)]);
    assert_eq!(told("2026-01-01T00:00:00Z"), []);
    assert_eq!(told("2026-12-18T00:00:00Z"), []);
    assert_eq!(told("2026-12-18T00:00:01Z"), [Flaw::EndsSoon(Link(0), ends)]);
    assert_eq!(told("2027-01-01T00:00:00Z"), [Flaw::EndsSoon(Link(0), ends)]);
    assert_eq!(told("2027-01-01T00:00:01Z"), [Flaw::Expired(Link(0), ends)]);
}

#[test]
fn a_chain_is_looked_at_link_by_link() {
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.not_after = date_time_ymd(2040, 1, 1);
    let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    let found = flaws(&[own, certificate(&["an authority"])], HOST, at("2028-01-01T00:00:00Z"));
    let [flaw] = found.try_into().unwrap();
    assert_eq!(
        flaw.to_string(),
        "certificate 2 of the chain has expired: it ended at 2027-01-01T00:00:00.000000Z"
    );
}

#[test]
fn a_host_is_named_as_programs_compare_names() {
    let now = at("2026-06-01T00:00:00Z");
    let told = |names: &[&str], host: &str| flaws(&[certificate(names)], host, now);
    for (names, host) in [
        (&[HOST][..], HOST),
        (&["other.example.org", HOST], HOST),
        (&["*.example.org"], HOST),
        (&[HOST], "GATE.example.org"),
        (&["127.0.0.1"], "127.0.0.1"),
        (&["::1"], "::1"),
    ] {
        assert_eq!(told(names, host), [], "{names:?} {host}");
    }
    for (names, host) in [
        (&["example.org"][..], HOST),
        (&["*.example.org"], "a.gate.example.org"),
        (&[], HOST),
        (&["localhost"], "127.0.0.1"),
        (&["127.0.0.1"], "127.0.0.2"),
    ] {
        assert_eq!(told(names, host), [Flaw::OtherHost(host.to_owned())], "{names:?} {host}");
    }
}
