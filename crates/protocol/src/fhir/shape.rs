//! Which elements of what a search finds are wanted. HL7 FHIR 4.0.1, search.html#elements and #summary.
//!
//! A server that leaves elements out may leave out those by which a record is decided on. So the upstream is asked for whole
//! records, and what is not wanted is left out here, last.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::elements::is_named;
use super::mask::kept::Kept;
use super::name::ResourceType;
use super::version::{FhirVersion, PerVersion};
use super::view::View;
use crate::json::{Object, read};

/// Which elements are wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// All.
    #[default]
    Whole,
    /// These, and those without which a resource cannot be.
    Elements(Vec<String>),
    /// Those that HL7 marked as a summary.
    Summary,
    /// The narrative, and what cannot be left out.
    Text,
    /// All but the narrative.
    Data,
    /// None: how many there are is all that is wanted.
    Count,
}

impl Shape {
    /// Reads `_summary`.
    pub(super) fn read_summary(value: &str) -> Option<Self> {
        Some(match value {
            "true" => Self::Summary,
            "text" => Self::Text,
            "data" => Self::Data,
            "count" => Self::Count,
            "false" => Self::Whole,
            _ => return None,
        })
    }

    /// Reads `_elements`: names of elements of the type, those at its top.
    pub(super) fn read_elements(
        version: FhirVersion,
        resource_type: ResourceType,
        value: &str,
    ) -> Option<Self> {
        let own = TABLES.get(version).get(resource_type.as_str())?;
        let is_own = |name: &&str| own.iter().any(|element| element.name == *name);
        let names: Vec<_> = value.split(',').collect();
        names.iter().all(is_own).then(|| Self::Elements(names.into_iter().map(str::to_owned).collect()))
    }

    /// As the client asked for it.
    pub(super) fn field(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Whole => return None,
            Self::Elements(names) => ("_elements", names.join(",")),
            Self::Summary => ("_summary", "true".to_owned()),
            Self::Text => ("_summary", "text".to_owned()),
            Self::Data => ("_summary", "data".to_owned()),
            Self::Count => ("_summary", "count".to_owned()),
        })
    }

    /// Leaves out of a view what is not wanted, and says so in `meta`. `None` if the view is no resource of the type.
    #[must_use]
    pub fn apply<'a>(
        &self,
        view: View<'a>,
        resource_type: ResourceType,
        version: FhirVersion,
    ) -> Option<View<'a>> {
        if *self == Self::Whole {
            return Some(view);
        }
        let elements = TABLES.get(version).get(resource_type.as_str())?;
        let is_wanted = |member: &str| {
            let member = member.strip_prefix('_').unwrap_or(member);
            // `subscriberId` is itself, and no choice of `subscriber`.
            let by_name = |element: &&Element| element.name == member;
            let element = elements.iter().find(by_name).or_else(|| {
                let by_choice = elements.iter().filter(|element| is_named(element.name, member));
                by_choice.max_by_key(|element| element.name.len())
            });
            match (member, element) {
                ("resourceType" | "id" | "meta", _) => true,
                (_, None) => *self == Self::Data,
                (_, Some(element)) => self.wants(element),
            }
        };
        let text = {
            let object: Object<'_> = read(view.text()).ok()?;
            let members = object.into_members().into_iter();
            let kept = members.filter(|(name, _)| is_wanted(name)).map(|(name, raw)| (name, Kept::AsIs(raw)));
            Kept::Object(kept.collect::<Vec<(Cow<'_, str>, _)>>())
                .labelled("SUBSETTED", Vec::new())
                .to_json()?
        };
        Some(view.shaped(text))
    }

    fn wants(&self, element: &Element) -> bool {
        match self {
            Self::Whole => true,
            Self::Elements(names) => element.is_needed || names.iter().any(|name| name == element.name),
            Self::Summary => element.is_needed || element.is_summary,
            Self::Text => element.is_needed || element.name == "text",
            Self::Data => element.name != "text",
            Self::Count => false,
        }
    }
}

/// An element at the top of a resource.
struct Element {
    name: &'static str,
    /// It has to be there, or changes what the others mean.
    is_needed: bool,
    is_summary: bool,
}

/// The table is data, one for each version: `definitions/README.md`.
static TABLES: PerVersion<Table> = PerVersion::of(
    || read_all(include_str!("definitions/r4/summaries.tsv")),
    || read_all(include_str!("definitions/r4b/summaries.tsv")),
    || read_all(include_str!("definitions/r5/summaries.tsv")),
);

type Table = BTreeMap<&'static str, Vec<Element>>;

fn read_all(text: &'static str) -> Table {
    let element = |column: &'static str| Element {
        name: column.trim_end_matches(['!', '+']),
        is_needed: column.contains('!'),
        is_summary: column.contains('+'),
    };
    let line = |line: &'static str| {
        let (name, columns) = line.split_once('\t')?;
        Some((name, columns.split(' ').map(element).collect()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::fhir::resource::Resource;

    fn shaped(shape: &Shape, record: &Value) -> Value {
        let text = record.to_string();
        let reference = "Observation/1".parse().unwrap();
        let resource = Resource::parse(text.as_bytes(), &reference, None).unwrap();
        let view = shape.apply(View::whole(&resource), reference.resource_type, FhirVersion::R4).unwrap();
        assert!(!view.is_masked(), "nothing was kept from anybody");
        serde_json::from_str(view.text()).unwrap()
    }

    fn observation() -> Value {
        json!({ "resourceType": "Observation", "id": "1", "meta": { "versionId": "2" }, "text": { "div": "x" },
            "status": "final", "_status": { "id": "s" }, "category": [{}], "code": { "text": "x" },
            "subject": { "reference": "Patient/a" }, "valueQuantity": { "value": 1.5 }, "note": [{ "text": "n" }],
            "modifierExtension": [{ "url": "x" }], "contained": [{ "resourceType": "Device" }] })
    }

    fn names(value: &Value) -> Vec<&str> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_wanted_leaves_and_what_a_resource_cannot_be_without() {
        let read = |value| Shape::read_elements(FhirVersion::R4, "Observation".parse().unwrap(), value);
        let by_elements = shaped(&read("subject,value").unwrap(), &observation());
        let needed = ["_status", "code", "id", "meta", "modifierExtension", "resourceType", "status"];
        let with = |more: &[&'static str]| {
            let mut all = [&needed[..], more].concat();
            all.sort_unstable();
            all
        };
        assert_eq!(names(&by_elements), with(&["subject", "valueQuantity"]));
        assert_eq!(by_elements["meta"]["tag"][0]["code"], "SUBSETTED");
        assert_eq!(by_elements["meta"]["versionId"], "2");
        assert_eq!(names(&shaped(&Shape::Summary, &observation())), with(&["subject", "valueQuantity"]));
        assert_eq!(names(&shaped(&Shape::Text, &observation())), with(&["text"]));
        let data = shaped(&Shape::Data, &observation());
        assert_eq!((data.get("text"), data["note"][0]["text"].as_str()), (None, Some("n")));
        assert_eq!(shaped(&Shape::Whole, &observation()), observation());
    }

    #[test]
    fn only_elements_of_the_type_can_be_wanted() {
        for value in ["", "nonsense", "subject,", "subject.reference", "valueQuantity", "Observation.subject"]
        {
            assert_eq!(
                Shape::read_elements(FhirVersion::R4, "Observation".parse().unwrap(), value),
                None,
                "{value}"
            );
        }
        for value in ["counts", "", "TRUE"] {
            assert_eq!(Shape::read_summary(value), None, "{value}");
        }
    }

    #[test]
    fn an_element_whose_name_begins_with_anothers_is_itself() {
        let longer = |version| {
            TABLES.get(version).iter().flat_map(|(resource_type, elements)| {
                let is_longer = |own: &&Element| {
                    elements.iter().any(|other| other.name != own.name && is_named(other.name, own.name))
                };
                elements.iter().filter(is_longer).map(move |own| (*resource_type, own))
            })
        };
        for version in FhirVersion::ALL {
            assert!(longer(version).count() > 10, "{version}");
            for (resource_type, element) in longer(version) {
                let record = json!({ "resourceType": resource_type, "id": "1", element.name: "x" });
                let (text, of) = (record.to_string(), format!("{resource_type}/1").parse().unwrap());
                let resource = Resource::parse(text.as_bytes(), &of, None).unwrap();
                let keeps = |shape: Shape| {
                    let view = shape.apply(View::whole(&resource), of.resource_type, version).unwrap();
                    let shaped: Value = serde_json::from_str(view.text()).unwrap();
                    shaped.get(element.name).is_some()
                };
                let name = format!("{version}: {resource_type}.{}", element.name);
                assert!(keeps(Shape::Elements(vec![element.name.to_owned()])), "{name}");
                assert_eq!(keeps(Shape::Elements(Vec::new())), element.is_needed, "{name}");
                assert_eq!(keeps(Shape::Summary), element.is_needed || element.is_summary, "{name}");
            }
        }
    }

    #[test]
    fn every_type_has_its_line() {
        for version in FhirVersion::ALL {
            let table = TABLES.get(version);
            assert!(ResourceType::all(version).all(|own| table.contains_key(own.as_str())), "{version}");
        }
        let patient = &TABLES.get(FhirVersion::R4)["Patient"];
        let flags = |name: &str| {
            patient.iter().find(|own| own.name == name).map(|own| (own.is_needed, own.is_summary)).unwrap()
        };
        assert_eq!(
            (flags("active"), flags("birthDate"), flags("photo")),
            ((true, true), (false, true), (false, false))
        );
    }

    proptest! {
        #[test]
        fn nothing_leaves_that_was_not_there(wanted in prop::sample::subsequence(vec!["note", "code", "value", "text"], 0..4)) {
            let shape = Shape::Elements(wanted.into_iter().map(str::to_owned).collect());
            let (whole, part) = (observation(), shaped(&shape, &observation()));
            for (name, value) in part.as_object().unwrap().iter().filter(|(name, _)| *name != "meta") {
                prop_assert_eq!(Some(value), whole.get(name));
            }
        }
    }
}
