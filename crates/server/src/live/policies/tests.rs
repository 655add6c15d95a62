use super::*;

/// A folder of two files of policies, and what is in force of it.
struct Deployed {
    folder: PathBuf,
    policies: LivePolicies,
}

impl Deployed {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("chartgate-policies-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("schema.cedarschema"), SCHEMA).unwrap();
        std::fs::write(folder.join("nurse.cedar"), PERMIT).unwrap();
        std::fs::write(folder.join("special.cedar"), FORBID).unwrap();
        let policies = LivePolicies::load(&folder).unwrap();
        Self { folder, policies }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    fn revision(&self) -> String {
        self.policies.current().revision().to_owned()
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_change_is_taken_once_two_looks_find_the_same() {
    let deployed = Deployed::new("settled");
    let before = deployed.revision();
    let look = || deployed.policies.look(When::Settled);
    // A policy moves from one file to another, and they are copied one by one.
    std::fs::remove_file(deployed.folder.join("special.cedar")).unwrap();
    assert!(matches!(look(), Look::Same));
    deployed.write("other.cedar", FORBID);
    assert!(matches!(look(), Look::Same));
    assert_eq!(deployed.revision(), before, "the forbid was never out of force");
    assert!(matches!(look(), Look::Changed(Changed { count: 2, .. })));
    assert_ne!(deployed.revision(), before);
    assert!(matches!(look(), Look::Same));
    // What is as it was is no change, whatever was there meanwhile.
    let after = deployed.revision();
    deployed.write("other.cedar", "");
    assert!(matches!(look(), Look::Same));
    deployed.write("other.cedar", FORBID);
    assert!(matches!((look(), look(), look()), (Look::Same, Look::Same, Look::Same)));
    assert_eq!(deployed.revision(), after);
}

#[test]
fn whoever_says_that_it_is_whole_has_it_at_once() {
    let deployed = Deployed::new("at-once");
    let before = deployed.revision();
    deployed.write("nurse.cedar", &PERMIT.replace("panel", "own"));
    assert!(matches!(deployed.policies.look(When::AtOnce), Look::Changed(_)));
    assert_ne!(deployed.revision(), before);
    assert!(matches!(deployed.policies.look(When::Settled), Look::Same));
}

#[test]
fn an_empty_file_is_refused_and_one_that_says_why_it_has_no_policy_is_not() {
    let deployed = Deployed::new("empty");
    let before = deployed.revision();
    deployed.write("special.cedar", " \n");
    let Look::Refused(errors) = deployed.policies.look(When::AtOnce) else { panic!("it is taken") };
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("special.cedar: it is empty"), "{}", errors[0]);
    assert_eq!(deployed.revision(), before);
    assert!(LivePolicies::load(&deployed.folder).is_err(), "nor does a gateway start with it");
    deployed.write("special.cedar", "// Nothing is special here.\n");
    assert!(matches!(deployed.policies.look(When::AtOnce), Look::Changed(Changed { count: 1, .. })));
}

#[test]
fn policies_on_trial_are_taken_alike() {
    let deployed = Deployed::new("shadow");
    let next = Deployed::new("shadow-next");
    deployed.policies.try_out(Some(&next.folder));
    let look = |when| deployed.policies.look_at_shadow(when);
    assert!(matches!((look(When::Settled), look(When::Settled)), (Look::Same, Look::Changed(_))));
    next.write("nurse.cedar", &PERMIT.replace("panel", "own"));
    assert!(matches!((look(When::Settled), look(When::AtOnce)), (Look::Same, Look::Changed(_))));
}

const SCHEMA: &str = include_str!("../../../../../policies/schema.cedarschema");
const PERMIT: &str = r#"@id("nurse") permit (principal in Chartgate::Role::"nurse",
    action in Chartgate::Action::"view", resource is Chartgate::Record) when { resource.relation == "panel" };"#;
const FORBID: &str = r#"@id("nobody") forbid (principal, action, resource is Chartgate::Record);"#;
