use proptest::prelude::*;

use super::*;
use crate::witness::tests::{log, witness};

fn policy(quorum: &str) -> String {
    let mut text = format!("# who has to see it\n\nlog {} https://gate.test/audit\n", log().verifier_key());
    for seed in 1..=6 {
        text += &format!("\twitness  w{seed} {}\n", witness(seed).verifier_key());
    }
    text + "group X 2 w1 w2 w3\ngroup Y any w4 w5 w6\ngroup X-and-Y all X Y\n" + quorum
}

fn cosigned(seeds: &[u8]) -> SignedCheckpoint {
    let mut signed = SignedCheckpoint::sign(&log(), 0, crate::tree::Hash::of_empty_tree());
    for seed in seeds {
        let line = witness(*seed).cosign(&signed, chartgate_values::Timestamp::from_unix(17)) + "\n";
        signed = signed.cosigned(line.as_bytes(), witness(*seed).verifier_key()).unwrap();
    }
    signed
}

/// The specification's own example, with keys.
#[test]
fn the_example_of_the_specification_is_met_by_two_and_one() {
    let read = Policy::parse(policy("quorum X-and-Y\n").as_bytes()).unwrap();
    assert_eq!(read.logs(), [log().verifier_key().clone()]);
    for (seeds, met) in [
        (&[][..], false),
        (&[1, 2], false),
        (&[4, 5, 6, 1], false),
        (&[1, 3, 5], true),
        (&[1, 2, 3, 4, 5, 6], true),
    ] {
        let verdict = read.judge(&cosigned(seeds));
        assert_eq!(verdict.met, met, "{seeds:?}");
        assert_eq!(verdict.witnesses.iter().filter(|seen| seen.at == Ok(17)).count(), seeds.len());
        assert_eq!(verdict.witnesses.len(), 6);
    }
    let none = Policy::parse(policy("quorum none").as_bytes()).unwrap();
    assert!(none.judge(&cosigned(&[])).met);
    assert!(Policy::parse(b"quorum none\n").unwrap().judge(&cosigned(&[])).met);
    let single = Policy::parse(policy("quorum w2").as_bytes()).unwrap();
    assert!(single.judge(&cosigned(&[2])).met && !single.judge(&cosigned(&[1])).met);
}

#[test]
fn each_wrong_line_is_named() {
    let (w1, log) = (witness(1).verifier_key().to_string(), log().verifier_key().to_string());
    let renamed = chartgate_values::Secret::new([1; 32]);
    let renamed = crate::note::WitnessSigner::from_seed("another.name", &renamed).unwrap();
    let renamed = renamed.verifier_key();
    for (text, line, problem) in [
        (String::new(), 2, Problem::Quorum),
        (format!("witness w {w1}\n"), 3, Problem::Quorum),
        ("quorum none\nquorum none\n".to_owned(), 2, Problem::Quorum),
        ("quorum none\r\n".to_owned(), 1, Problem::Control),
        ("quorum w\n".to_owned(), 1, Problem::UnknownName),
        (format!("quorum w\nwitness w {w1}\n"), 1, Problem::UnknownName),
        ("quorums none\n".to_owned(), 1, Problem::Form),
        ("quorum none none\n".to_owned(), 1, Problem::Form),
        ("group g all\n".to_owned(), 1, Problem::Form),
        (format!("log {w1}\n"), 1, Problem::Key),
        (format!("witness w {log}\n"), 1, Problem::Key),
        ("witness w x\n".to_owned(), 1, Problem::Key),
        (format!("log {log}\nlog {log}\n"), 2, Problem::DuplicateKey),
        (format!("witness w {w1}\nwitness v {renamed}\n"), 2, Problem::DuplicateKey),
        (format!("witness none {w1}\n"), 1, Problem::NameTaken),
        (format!("witness w {w1}\ngroup w any w\n"), 2, Problem::NameTaken),
        (format!("witness w {w1}\ngroup g any none\n"), 2, Problem::UnknownName),
        (format!("witness w {w1}\ngroup g any g\n"), 2, Problem::UnknownName),
        (format!("witness w {w1}\ngroup g any w w\n"), 2, Problem::MemberTwice),
        (format!("witness w {w1}\ngroup g any w\ngroup h any w\n"), 3, Problem::MemberTwice),
        (format!("witness w {w1}\ngroup g 0 w\n"), 2, Problem::Threshold),
        (format!("witness w {w1}\ngroup g 2 w\n"), 2, Problem::Threshold),
        (format!("witness w {w1}\ngroup g 01 w\n"), 2, Problem::Threshold),
    ] {
        assert_eq!(Policy::parse(text.as_bytes()), Err(ParsePolicyError { line, problem }), "{text}");
    }
    assert_eq!(Policy::parse(&vec![b'\n'; LONGEST + 1]).unwrap_err().problem, Problem::TooLarge);
}

#[test]
fn names_are_octets_and_a_kelvin_sign_is_no_k() {
    let key = witness(1).verifier_key().to_string();
    let text = format!("witness \u{212a} {key}\nquorum K\n");
    assert_eq!(Policy::parse(text.as_bytes()).unwrap_err().problem, Problem::UnknownName);
    let mut latin = format!("witness \u{1} {key}\nquorum \u{1}\n").into_bytes();
    for byte in latin.iter_mut().filter(|byte| **byte == 1) {
        *byte = 0xe9;
    }
    assert!(Policy::parse(&latin).unwrap().judge(&cosigned(&[1])).met);
}

proptest! {
    #[test]
    fn a_group_is_content_from_its_threshold_on(seeds in prop::collection::btree_set(1..=6_u8, 0..=6), k in 1..=6_usize) {
        let mut text = String::new();
        for seed in 1..=6 {
            text += &format!("witness w{seed} {}\n", witness(seed).verifier_key());
        }
        text += &format!("group g {k} w1 w2 w3 w4 w5 w6\nquorum g\n");
        let seeds: Vec<u8> = seeds.into_iter().collect();
        let verdict = Policy::parse(text.as_bytes()).unwrap().judge(&cosigned(&seeds));
        prop_assert_eq!(verdict.met, seeds.len() >= k);
    }
}
