use std::collections::BTreeSet;

use super::*;
use crate::pdp::caller::CallerKind;
use crate::pdp::policy_set::PolicyFile;

const SCHEMA: &str = include_str!("../../../../../policies/schema.cedarschema");

fn pdp(policies: &str) -> Pdp {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    Pdp::new(Policies::read(&file("schema", SCHEMA), &[file("test", policies)]).unwrap(), "test".into())
}

fn facts(roles: &[&str]) -> Facts {
    Facts {
        kind: CallerKind::Person,
        subject: "dana".parse().unwrap(),
        client_id: "app".parse().unwrap(),
        roles: roles.iter().map(|role| role.parse().unwrap()).collect(),
        acr: None,
        amr: BTreeSet::new(),
        purpose_of_use: None,
    }
}

fn read(relation: Relation) -> Question<'static> {
    Question::Record {
        action: RecordAction::Read,
        resource_type: "Observation",
        relation,
        labels: &NO_LABELS,
    }
}

const PANEL: &str = r#"@id("panel") permit (principal in Chartgate::Role::"physician",
    action == Chartgate::Action::"read", resource) when { resource.relation == "panel" };"#;

#[test]
fn nothing_is_allowed_that_no_policy_permits() {
    let decision = pdp("").decide(&facts(&["physician"]), &read(Relation::Panel));
    assert_eq!(decision, Decision::Deny(Denial { policies: vec![], reason: DenyReason::NotPermitted }));
}

#[test]
fn a_permit_holds_for_its_role_and_relation_and_names_itself() {
    let pdp = pdp(PANEL);
    let allow = Decision::Allow(Allowance { policies: ["panel".into()].into(), mask: None });
    assert_eq!(pdp.decide(&facts(&["physician"]), &read(Relation::Panel)), allow);
    assert!(matches!(pdp.decide(&facts(&["physician"]), &read(Relation::Other)), Decision::Deny(_)));
    assert!(matches!(pdp.decide(&facts(&["nurse"]), &read(Relation::Panel)), Decision::Deny(_)));
}

#[test]
fn a_forbid_wins() {
    let text = format!(
        r#"{PANEL} @id("no-admins") forbid (principal in Chartgate::Role::"administrator",
        action, resource is Chartgate::Record);"#
    );
    let decision = pdp(&text).decide(&facts(&["administrator", "physician"]), &read(Relation::Panel));
    let denial = Denial { policies: vec!["no-admins".into()], reason: DenyReason::Forbidden };
    assert_eq!(decision, Decision::Deny(denial));
}

#[test]
fn a_policy_that_fails_to_evaluate_denies_although_cedar_would_skip_it() {
    // The validator lets this through: an overflow shows only when it is computed.
    let text = format!(
        r#"{PANEL} @id("broken") forbid (principal, action, resource)
           when {{ 9223372036854775807 + 1 > 0 }};"#
    );
    let decision = pdp(&text).decide(&facts(&["physician"]), &read(Relation::Panel));
    let denial = Denial { policies: vec!["broken".into()], reason: DenyReason::PolicyError };
    assert_eq!(decision, Decision::Deny(denial));
}

#[test]
fn a_type_is_out_of_reach_if_every_relation_is() {
    let pdp = pdp(PANEL);
    let asked = |role: &str, relations: &[Relation]| {
        any_of(relations.iter().map(|relation| pdp.decide(&facts(&[role]), &read(*relation))))
    };
    assert!(matches!(asked("physician", Relation::OF_PATIENTS), Decision::Allow(_)));
    assert!(matches!(asked("physician", Relation::OF_NOBODY), Decision::Deny(_)));
    assert!(matches!(asked("nurse", Relation::OF_PATIENTS), Decision::Deny(_)));
    assert!(matches!(asked("physician", &[]), Decision::Deny(_)));
}

#[test]
fn policies_without_id_or_outside_the_schema_are_refused_all_at_once() {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    let errors = Policies::read(
        &file("schema", SCHEMA),
        &[
            file("a.cedar", "permit (principal, action, resource);"),
            file("b.cedar", "permit (principal"),
            file("c.cedar", r#"@id("x") permit (principal, action == Chartgate::Action::"fly", resource);"#),
            file("d.cedar", r#"@id("x") forbid (principal, action, resource);"#),
        ],
    )
    .unwrap_err();
    let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for part in ["a.cedar: a policy has no @id", "b.cedar: does not parse", "fly", "`x` is used twice"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_policy_obliges_by_its_mask_and_one_without_keeps_nothing() {
    let with = |name: &str, mask: &str| {
        format!(
            r#"@id("{name}") {mask} permit (principal in Chartgate::Role::"{name}", action, resource is Chartgate::Record);"#
        )
    };
    let text = [
        with("one", r#"@mask("dates-to-year")"#),
        with("two", r#"@mask("pseudonyms")"#),
        with("three", r#"@mask("safe-harbor")"#),
        with("four", ""),
    ];
    let pdp = pdp(&text.concat());
    let mask = |roles: &[&str]| match pdp.decide(&facts(roles), &read(Relation::Other)) {
        Decision::Allow(yes) => yes.mask().map(ToString::to_string),
        Decision::Deny(no) => panic!("{no:?}"),
    };
    assert_eq!(mask(&["one"]).as_deref(), Some("dates-to-year"));
    assert_eq!(mask(&["one", "two"]).as_deref(), Some("dates-to-year; pseudonyms"));
    assert_eq!(mask(&["one", "three"]).as_deref(), Some("dates-to-year"));
    assert_eq!(mask(&["three", "four"]), None);
}

#[test]
fn what_permits_by_labels_stands_beside_no_mask() {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    let masked =
        r#"@id("m") @mask("safe-harbor") permit (principal, action, resource is Chartgate::Record);"#;
    let by_labels = |effect: &str| {
        format!(
            r#"@id("l") {effect} (principal, action, resource is Chartgate::Record) when {{ resource.labels.contains("R") }};"#
        )
    };
    let read = |files: &[PolicyFile]| Policies::read(&file("schema", SCHEMA), files).map(drop);
    let (permit, forbid) = (by_labels("permit"), by_labels("forbid"));
    assert_eq!(read(&[file("a", masked), file("b", &forbid)]), Ok(()));
    assert_eq!(read(&[file("b", &permit)]), Ok(()));
    let problem = read(&[file("b", &permit), file("a", masked)]).unwrap_err();
    assert!(problem[0].to_string().contains("policy `l`: a permit cannot ask for labels"), "{problem:?}");
}

#[test]
fn an_obligation_that_is_none_is_an_error_of_its_policy() {
    let file = |name: &str, text: &str| PolicyFile { name: name.into(), text: text.into() };
    let problems = |annotation: &str, policy: &str| {
        let text = format!(r#"@id("x") {annotation} {policy};"#);
        let read = Policies::read(&file("schema", SCHEMA), &[file("a.cedar", &text)]);
        read.err().map(|errors| errors.iter().map(ToString::to_string).collect::<String>())
    };
    let permit = "permit (principal, action, resource is Chartgate::Record)";
    assert_eq!(problems(r#"@mask("remove: *.note") @description("notes are not for all")"#, permit), None);
    for (annotation, policy, says) in [
        (r#"@mask("blur")"#, permit, "`blur` is none of"),
        (r#"@mask("remove: Patient.id")"#, permit, "cannot be removed"),
        (r#"@maks("safe-harbor")"#, permit, "no annotation @maks"),
        (r#"@mask("safe-harbor")"#, "forbid (principal, action, resource)", "a forbid has no @mask"),
    ] {
        let problem = problems(annotation, policy).unwrap();
        assert!(problem.starts_with("a.cedar: policy `x`") && problem.contains(says), "{problem}");
    }
}
