//! How a record stands to its caller: the fact on which most policies turn.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::PatientId;

/// The relation of a record to a caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// A shared resource that belongs to no patient, such as an Organization.
    Nobody,
    /// The caller's own chart and nobody else's.
    Own,
    /// Every patient whom the record concerns is in the caller's care.
    Panel,
    /// It is the one patient's alone to whose record the caller has emergency access, who is not themselves. A patient in
    /// their care is one as well: what only an emergency opens would be closed to those who treat them.
    Emergency,
    /// Some patient is neither, or it cannot be told whose record it is.
    Other,
}

impl Relation {
    /// How records that are some patient's can stand to a caller; the most telling first.
    pub const OF_PATIENTS: &'static [Self] = &[Self::Panel, Self::Own, Self::Other];
    /// How records of a shared type stand to everybody.
    pub const OF_NOBODY: &'static [Self] = &[Self::Nobody];
}

/// Whose a record is, by the membership table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Belongs {
    /// To nobody: a shared type.
    ToNobody,
    /// To these patients, one at least.
    To(BTreeSet<PatientId>),
    /// It cannot be told.
    Unknown,
}

impl Relation {
    /// The same for a caller with emergency access to this patient, if to any.
    #[must_use]
    pub fn in_emergency(self, record: &Belongs, patient: Option<&PatientId>) -> Self {
        match (self, record) {
            (Self::Other | Self::Panel, Belongs::To(patients))
                if !patients.is_empty() && patients.iter().all(|p| Some(p) == patient) =>
            {
                Self::Emergency
            }
            (Self::Nobody | Self::Own | Self::Panel | Self::Emergency | Self::Other, _) => self,
        }
    }

    /// The name that policies use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Own => "own",
            Self::Panel => "panel",
            Self::Emergency => "emergency",
            Self::Other => "other",
        }
    }

    /// Finds the relation of a record to a caller with this chart of their own and these patients in their care.
    #[must_use]
    pub fn find(record: &Belongs, own: Option<&PatientId>, is_in_care: impl Fn(&PatientId) -> bool) -> Self {
        match record {
            Belongs::ToNobody => Self::Nobody,
            Belongs::Unknown => Self::Other,
            Belongs::To(patients) if patients.is_empty() => Self::Other,
            Belongs::To(patients) if patients.iter().all(|p| Some(p) == own) => Self::Own,
            Belongs::To(patients) if patients.iter().all(is_in_care) => Self::Panel,
            Belongs::To(_) => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> BTreeSet<PatientId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn emergency_access_is_to_what_is_one_patients_alone() {
        let (p, q): (PatientId, PatientId) = ("p".parse().unwrap(), "q".parse().unwrap());
        let find = |belongs: Belongs, panel: &[&str], patient| {
            let panel = ids(panel);
            Relation::find(&belongs, None, |p| panel.contains(p)).in_emergency(&belongs, patient)
        };
        let of = |all: &[&str]| Belongs::To(ids(all));
        assert_eq!(find(of(&["p"]), &[], Some(&p)), Relation::Emergency);
        assert_eq!(find(of(&["p"]), &["p"], Some(&p)), Relation::Emergency, "one in their care as well");
        assert_eq!(find(of(&["p"]), &["p"], None), Relation::Panel);
        assert_eq!(find(of(&["p", "q"]), &["p", "q"], Some(&p)), Relation::Panel);
        let own = Relation::find(&of(&["p"]), Some(&p), |_| false).in_emergency(&of(&["p"]), Some(&p));
        assert_eq!(own, Relation::Own);
        assert_eq!(find(of(&["p"]), &[], Some(&q)), Relation::Other);
        assert_eq!(find(of(&["p"]), &[], None), Relation::Other);
        assert_eq!(find(of(&["p", "q"]), &[], Some(&p)), Relation::Other);
        assert_eq!(find(of(&[]), &[], Some(&p)), Relation::Other);
        assert_eq!(find(Belongs::Unknown, &[], Some(&p)), Relation::Other);
        assert_eq!(find(Belongs::ToNobody, &[], Some(&p)), Relation::Nobody);
    }

    #[test]
    fn one_foreign_patient_in_a_record_makes_it_foreign() {
        let own: PatientId = "me".parse().unwrap();
        let panel = ids(&["a", "b"]);
        let find = |belongs| Relation::find(&belongs, Some(&own), |p| panel.contains(p));
        assert_eq!(find(Belongs::ToNobody), Relation::Nobody);
        assert_eq!(find(Belongs::To(ids(&["me"]))), Relation::Own);
        assert_eq!(find(Belongs::To(ids(&["a", "b"]))), Relation::Panel);
        assert_eq!(find(Belongs::To(ids(&["a", "c"]))), Relation::Other);
        assert_eq!(find(Belongs::To(ids(&["me", "a"]))), Relation::Other);
        assert_eq!(find(Belongs::To(ids(&[]))), Relation::Other);
        assert_eq!(find(Belongs::Unknown), Relation::Other);
    }
}
