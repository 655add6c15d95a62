use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::pdp::caller::CallerKind;
use crate::pdp::decide::NO_LABELS;
use crate::pdp::policy_set::{Policies, PolicyFile};

const SCHEMA: &str = include_str!("../../../../../policies/schema.cedarschema");

fn pdp(name: &str, policies: &str) -> Arc<Pdp> {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    let policies = Policies::read(&file("schema", SCHEMA), &[file("test", policies)]).unwrap();
    Arc::new(Pdp::new(policies, name.to_owned()))
}

fn facts() -> Facts {
    Facts {
        kind: CallerKind::Person,
        subject: "dana".parse().unwrap(),
        client_id: "app".parse().unwrap(),
        roles: BTreeSet::from(["physician".parse().unwrap()]),
        acr: None,
        amr: BTreeSet::new(),
        purpose_of_use: None,
    }
}

fn permit(id: &str, mask: &str, relation: &str) -> String {
    format!(
        "@id(\"{id}\"){mask} permit (principal, action, resource is Chartgate::Record) when {{ resource.relation == \"{relation}\" }};"
    )
}

/// What two sets say to reading an Observation that stands so.
fn said(in_force: &str, shadow: Option<&str>, relations: &[Relation]) -> (Decision, Summary) {
    let sets =
        PolicySets { in_force: pdp("now", in_force), shadow: shadow.map(|policies| pdp("next", policies)) };
    let (account, advice) = (Account::default(), Advice::new(sets, &facts(), &LastCounsel::default()));
    let observation = "Observation".parse().unwrap();
    let ask = || advice.ask(&account, RecordAction::Read, observation, relations, &NO_LABELS);
    let decision = ask();
    assert_eq!(decision, ask(), "asked twice, kept once");
    (decision, account.summary().unwrap())
}

#[test]
fn what_is_on_trial_changes_no_answer_and_only_a_difference_is_kept_of_it() {
    let (panel, other) = (permit("a", "", "panel"), permit("b", "", "panel"));
    let (allowed, kept) = said(&panel, Some(&other), &[Relation::Panel]);
    assert!(matches!(allowed, Decision::Allow(_)));
    assert_eq!((kept.said.len(), &kept.said[0].shadow), (1, &None), "other policies, the same answer");
    assert_eq!((kept.policy_set.as_str(), kept.shadow_set.as_deref()), ("now", Some("next")));
    let (allowed, kept) = said(&panel, Some(""), &[Relation::Panel]);
    assert!(matches!(allowed, Decision::Allow(_)));
    let shadow = kept.said[0].shadow.as_ref().unwrap();
    assert_eq!(kept.said[0].answer.change(shadow), Some(Change::Denied));
    let (denied, kept) = said("", Some(&panel), &[Relation::Panel]);
    assert!(matches!(denied, Decision::Deny(_)));
    let shadow = kept.said[0].shadow.as_ref().unwrap();
    assert_eq!(kept.said[0].answer.change(shadow), Some(Change::Allowed));
    let (_, kept) = said(&panel, None, &[Relation::Panel]);
    assert_eq!((kept.shadow_set, &kept.said[0].shadow), (None, &None));
}

#[test]
fn another_mask_is_a_difference_of_a_record_and_not_of_a_type() {
    let (plain, masked) = (permit("a", "", "panel"), permit("a", "@mask(\"dates-to-year\")", "panel"));
    let (_, kept) = said(&plain, Some(&masked), &[Relation::Panel]);
    let shadow = kept.said[0].shadow.as_ref().unwrap();
    assert_eq!(kept.said[0].answer.change(shadow), Some(Change::Masked));
    assert_eq!(shadow.mask.as_deref(), Some("dates-to-year"));
    let (_, kept) = said(&plain, Some(&masked), Relation::OF_PATIENTS);
    assert_eq!(kept.said[0].shadow, None);
}

#[test]
fn endpoints_are_put_to_those_on_trial_as_well() {
    let call = "@id(\"call\") permit (principal, action == Chartgate::Action::\"call\", resource);";
    let sets = PolicySets { in_force: pdp("now", call), shadow: Some(pdp("next", "")) };
    let account = Account::default();
    let decision = sets.ask_endpoint(&account, &facts(), ("till", "GET", "/orders/{id}"));
    assert!(matches!(decision, Decision::Allow(_)));
    let said = account.summary().unwrap().said;
    let shadow = said[0].shadow.as_ref().unwrap();
    assert_eq!(
        format!("{shadow}: {}", said[0].asked),
        "deny, for no policy permits it: GET /orders/{id} of till"
    );
    assert_eq!(said[0].asked.again(&sets.in_force, &facts()), said[0].answer);
}

#[test]
fn no_account_grows_without_end_and_one_that_was_cut_says_so() {
    let sets = PolicySets { in_force: pdp("now", ""), shadow: None };
    let (account, advice) = (Account::default(), Advice::new(sets, &facts(), &LastCounsel::default()));
    for number in 0..=KEPT {
        let labels = Labels::from([format!("L{number}")]);
        let kind = "Observation".parse().unwrap();
        let _ = advice.ask(&account, RecordAction::Read, kind, &[Relation::Panel], &labels);
        assert_eq!(account.summary().unwrap().was_cut, number == KEPT);
    }
    assert_eq!(account.summary().unwrap().said.len(), KEPT);
    assert_eq!(Account::default().summary(), None, "nothing was asked");

    let account = Account::default();
    let names = |count: usize| (0..count).map(|number| format!("CareTeam/{number}"));
    account.relies_on(names(KEPT));
    account.relies_on(names(KEPT));
    assert!(!account.grounds().were_cut, "all are kept, and none twice");
    account.relies_on(["Encounter/1".to_owned()]);
    assert_eq!((account.grounds().were_cut, account.grounds().care.len()), (true, KEPT));
}

#[test]
fn whoever_comes_again_hears_the_policies_that_are_in_force_by_then() {
    let last = LastCounsel::default();
    let (before, after) = (pdp("before", &permit("p", "", "panel")), pdp("after", ""));
    let says = |pdp: &Arc<Pdp>, facts: &Facts| {
        let advice = Advice::new(PolicySets { in_force: Arc::clone(pdp), shadow: None }, facts, &last);
        let observation = "Observation".parse().unwrap();
        let decision =
            advice.ask(&Account::default(), RecordAction::Read, observation, &[Relation::Panel], &NO_LABELS);
        matches!(decision, Decision::Allow(_))
    };
    let first = before.counsel_again(&facts(), &last);
    assert!(Arc::ptr_eq(&first, &before.counsel_again(&facts(), &last)), "the same is at hand");
    for (pdp, expected) in
        [(&before, true), (&before, true), (&after, false), (&after, false), (&before, true)]
    {
        assert_eq!(says(pdp, &facts()), expected, "{}", pdp.revision());
    }
    // Nor does somebody else hear what was said to who came last.
    let only_dana = pdp(
        "dana",
        "@id(\"d\") permit (principal in Chartgate::Role::\"physician\", action, resource is Chartgate::Record);",
    );
    let other = Facts { roles: BTreeSet::from(["nurse".parse().unwrap()]), ..facts() };
    assert_eq!([&facts(), &other, &facts()].map(|facts| says(&only_dana, facts)), [true, false, true]);
}

proptest! {
    #[test]
    fn what_a_record_keeps_reads_back_as_it_was_and_asks_the_same(
        action in prop::sample::select(vec![RecordAction::Read, RecordAction::Search, RecordAction::Delete]),
        relations in prop::sample::subsequence(Relation::OF_PATIENTS.to_vec(), 1..=3),
        labels in prop::collection::btree_set("\\PC{0,12}", 0..4),
        permitted in prop::sample::select(vec!["panel", "own", "other"]),
        label in "[A-Z]{0,3}",
    ) {
        let forbid = format!(
            "@id(\"f\") forbid (principal, action, resource is Chartgate::Record) when {{ resource.labels.contains(\"{label}\") }};"
        );
        let policies = format!("{}{forbid}", permit("p", "@mask(\"dates-to-year\")", permitted));
        let sets = PolicySets { in_force: pdp("now", &policies), shadow: Some(pdp("next", &forbid)) };
        let (account, advice) = (Account::default(), Advice::new(sets.clone(), &facts(), &LastCounsel::default()));
        let _ = advice.ask(&account, action, "Condition".parse().unwrap(), &relations, &labels);
        let said = account.summary().unwrap().said;
        let read: Vec<Arc<Said>> = serde_json::from_str(&serde_json::to_string(&said).unwrap()).unwrap();
        prop_assert_eq!(&read, &said);
        prop_assert_eq!(&read[0].asked.again(&sets.in_force, &facts()), &said[0].answer);
    }

    #[test]
    fn what_goes_without_saying_would_be_said_by_any_policies(
        first in prop::sample::subsequence(Relation::OF_PATIENTS.to_vec(), 1..=3),
        second in prop::sample::subsequence(Relation::OF_PATIENTS.to_vec(), 0..=3),
        forbidden in prop::option::of(prop::sample::select(vec!["panel", "own", "other"])),
        stands in prop::sample::select(Relation::OF_PATIENTS.to_vec()),
        labels in prop::collection::btree_set("[AB]", 0..2),
    ) {
        let permits = |relations: &[Relation]| -> String {
            relations.iter().map(|r| permit(&format!("p-{}", r.as_str()), "", r.as_str())).collect()
        };
        let forbid = forbidden.map(|relation| permit("f", "", relation).replace("permit", "forbid"));
        let (now, next) = (pdp("now", &permits(&first)), pdp("next", &format!("{}{}", permits(&second), forbid.unwrap_or_default())));
        let (account, advice) = (
            Account::default(),
            Advice::new(PolicySets { in_force: now, shadow: None }, &facts(), &LastCounsel::default()),
        );
        let kind: ResourceType = "Condition".parse().unwrap();
        let of_the_type = advice.ask(&account, RecordAction::Read, kind, Relation::OF_PATIENTS, &NO_LABELS);
        let of_the_record = advice.ask(&account, RecordAction::Read, kind, &[stands], &labels);
        let kept = account.summary().unwrap().said;
        let both_allowed = [&of_the_type, &of_the_record].iter().all(|d| matches!(d, Decision::Allow(_)));
        prop_assert_eq!(kept.len(), if both_allowed && labels.is_empty() { 1 } else { 2 });
        let all = [Relation::OF_PATIENTS, &[stands]].map(|relations| Asked::Records {
            action: RecordAction::Read,
            resource_type: kind,
            relations: relations.to_vec(),
            labels: if relations.len() == 1 { labels.clone() } else { Labels::new() },
        });
        let denied = |asked: &Asked| asked.again(&next, &facts()).outcome == Effect::Deny;
        prop_assert_eq!(all.iter().any(denied), kept.iter().any(|said| denied(&said.asked)));
    }

    #[test]
    fn an_account_that_is_none_is_an_error(text in "\\PC{0,80}") {
        if let Ok(read) = serde_json::from_str::<Vec<Said>>(&text) {
            prop_assert!(read.is_empty());
        }
    }
}
