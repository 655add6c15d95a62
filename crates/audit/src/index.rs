//! By what a record can be found: terms for an index that is kept beside the log and can be made anew from it at any time.
//!
//! A term is a keyed digest, so that an index tells nobody whose records were read. That an entry has a term is where a
//! search looks first, and never the answer: whoever searches reads the entry itself.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;

use crate::reader::Filter;
use crate::record::Record;

/// Under which the terms of one installation are made.
#[derive(Clone)]
pub struct IndexKey(hmac::Key);

/// What a record has and a search asks for: 16 bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Term([u8; 16]);

impl Term {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What a term is about.
#[derive(Clone, Copy)]
enum Of {
    User,
    Patient,
    Client,
    Grant,
    Event,
    Action,
    Outcome,
    Purpose,
    Policy,
    Reason,
    Resource,
    Emergency,
}

impl IndexKey {
    /// The key with this secret.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    fn term(&self, of: Of, text: &str) -> Term {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[of as u8]);
        context.update(text.as_bytes());
        let mut term = [0; 16];
        term.copy_from_slice(context.sign().as_ref().get(..16).unwrap_or(&[0; 16]));
        Term(term)
    }

    /// What a record can be found by.
    #[must_use]
    pub fn terms_of(&self, record: &Record) -> BTreeSet<Term> {
        let mut terms = BTreeSet::new();
        let mut add = |of: Of, text: &str| terms.extend([self.term(of, text)]);
        add(Of::Event, record.event.as_str());
        add(Of::Outcome, record.outcome.as_str());
        let each = [
            (Of::User, &record.actor.sub),
            (Of::Client, &record.actor.client_id),
            (Of::Grant, &record.grant),
            (Of::Action, &record.action),
            (Of::Purpose, &record.purpose_of_use),
            (Of::Reason, &record.decision.reason),
        ];
        for (of, text) in each {
            if let Some(text) = text {
                add(of, text);
            }
        }
        for patient in &record.patients {
            add(Of::Patient, patient.expose());
        }
        for policy in &record.decision.policies {
            add(Of::Policy, policy);
        }
        if let Some(emergency) = record.detail.get("emergency") {
            add(Of::Emergency, emergency.expose());
        }
        if let Some(resource) = &record.resource {
            for above in ways_to(resource.expose()) {
                add(Of::Resource, above);
            }
        }
        terms
    }

    /// What all records have that a filter admits.
    #[must_use]
    pub fn terms_asked(&self, filter: &Filter) -> Vec<Term> {
        let clear = [
            (Of::User, filter.user.as_deref()),
            (Of::Client, filter.client.as_deref()),
            (Of::Grant, filter.grant.as_deref()),
            (Of::Event, filter.event.map(|event| event.as_str())),
            (Of::Action, filter.action.as_deref()),
            (Of::Outcome, filter.outcome.map(|outcome| outcome.as_str())),
            (Of::Purpose, filter.purpose.as_deref()),
            (Of::Policy, filter.policy.as_deref()),
            (Of::Reason, filter.reason.as_deref()),
            (Of::Patient, filter.patient.as_ref().map(|text| text.expose().as_str())),
            (Of::Resource, filter.resource.as_ref().map(|text| text.expose().as_str())),
            (Of::Emergency, filter.emergency.as_ref().map(|text| text.expose().as_str())),
        ];
        clear.into_iter().filter_map(|(of, text)| Some(self.term(of, text?))).collect()
    }
}

/// `Observation/17/_history/2`, and what it is below: `Observation`, `Observation/17`, `Observation/17/_history`.
fn ways_to(resource: &str) -> impl Iterator<Item = &str> {
    let above = resource.match_indices('/').filter_map(|(at, _)| resource.get(..at));
    above.chain([resource])
}

#[cfg(test)]
mod tests {
    use chartgate_values::Phi;
    use proptest::prelude::*;

    use super::*;
    use crate::reader::Entry;
    use crate::record::{Event, Outcome};
    use crate::testing::record;

    fn filters(record: &Record) -> Vec<Filter> {
        let none = Filter::default;
        let text = |text: &Option<String>| text.clone();
        let resource = record.resource.as_ref().map(|own| own.expose().clone()).unwrap_or_default();
        let mut filters: Vec<Filter> = ways_to(&resource)
            .map(|way| Filter { resource: Some(Phi::new(way.to_owned())), ..none() })
            .collect();
        filters.extend(record.patients.iter().map(|own| Filter { patient: Some(own.clone()), ..none() }));
        filters.extend(
            record.decision.policies.iter().map(|own| Filter { policy: Some(own.clone()), ..none() }),
        );
        filters.extend([
            Filter { user: text(&record.actor.sub), ..none() },
            Filter { client: text(&record.actor.client_id), ..none() },
            Filter { action: text(&record.action), ..none() },
            Filter { purpose: text(&record.purpose_of_use), ..none() },
            Filter { reason: text(&record.decision.reason), ..none() },
            Filter { event: Some(record.event), outcome: Some(record.outcome), ..none() },
        ]);
        filters
    }

    fn told() -> Record {
        let mut told = record(3);
        told.actor.sub = Some("dana".to_owned());
        told.actor.client_id = Some("demo-web".to_owned());
        told.action = Some("vread".to_owned());
        told.purpose_of_use = Some("TREAT".to_owned());
        told.resource = Some(Phi::new("Observation/17/_history/2".to_owned()));
        told.patients = vec![Phi::new("a".to_owned()), Phi::new("b".to_owned())];
        told.decision.policies = vec!["physician-panel".to_owned()];
        told.decision.reason = Some("interrupted".to_owned());
        told
    }

    #[test]
    fn what_a_filter_admits_has_the_terms_that_it_asks_for() {
        let key = IndexKey::new(&[7; 32]);
        let (told, other) = (told(), Record { event: Event::Started, outcome: Outcome::Error, ..record(4) });
        let terms = key.terms_of(&told);
        for filter in filters(&told) {
            let asked = key.terms_asked(&filter);
            assert!(!asked.is_empty() && asked.iter().all(|term| terms.contains(term)), "{filter:?}");
            let has = asked.iter().all(|term| key.terms_of(&other).contains(term));
            let entry = Entry { index: 0, record: other.clone(), sealed: None };
            assert_eq!(has, filter.admits(&entry), "{filter:?}");
        }
        assert!(key.terms_asked(&Filter::default()).is_empty());
    }

    #[test]
    fn a_term_is_of_one_kind_and_of_one_installation() {
        let key = IndexKey::new(&[7; 32]);
        let user = |name: &str| key.terms_asked(&Filter { user: Some(name.to_owned()), ..Filter::default() });
        let client = Filter { client: Some("dana".to_owned()), ..Filter::default() };
        assert_ne!(user("dana"), key.terms_asked(&client));
        let elsewhere = IndexKey::new(&[8; 32]);
        assert_ne!(elsewhere.terms_asked(&client), key.terms_asked(&client));
    }

    proptest! {
        #[test]
        fn a_resource_is_found_by_whatever_it_is_below(steps in prop::collection::vec("[A-Za-z0-9]{1,4}", 1..5)) {
            let resource = steps.join("/");
            let ways: Vec<&str> = ways_to(&resource).collect();
            prop_assert_eq!(ways.len(), steps.len());
            let record = Record { resource: Some(Phi::new(resource.clone())), ..record(1) };
            let entry = Entry { index: 0, record, sealed: None };
            for way in ways {
                let filter = Filter { resource: Some(Phi::new(way.to_owned())), ..Filter::default() };
                prop_assert!(filter.admits(&entry));
            }
        }
    }
}
