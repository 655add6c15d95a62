//! What the Privacy Rule asks. 45 CFR 164.502, 164.514, 164.522, 164.528.

use super::Known;
use crate::cli::evidence::Safeguard;

pub(super) fn minimum_necessary(known: &Known<'_>) -> Safeguard {
    let Known { settings, seen, .. } = known;
    let mut tell = Safeguard::new("C24", "164.502(b), 164.514(d)", "standard", "Minimum necessary");
    tell.show("Accesses of which some part was kept", &seen.masked);
    tell.show("Searches of which some records were withheld", &seen.withheld);
    for route in settings.routes.iter().filter(|route| route.kind.starts_with("FHIR") && !route.labels_minors)
    {
        tell.miss(format!("{} does not label records of minors (`minors`).", route.name));
    }
    tell.miss("What roles were granted and never used is not set side by side.".to_owned());
    tell
}

pub(super) fn disclosures(known: &Known<'_>) -> Safeguard {
    let Known { seen, .. } = known;
    let mut tell = Safeguard::new("C25", "164.528", "required", "Accounting of disclosures");
    tell.count("Accesses, by purpose", &seen.purposes);
    tell.show("Accesses whose purpose is not known", &seen.without_purpose);
    tell.miss_if(
        seen.without_purpose.count > 0,
        format!("Of {} accesses nobody knows for what they were.", seen.without_purpose.count),
    );
    tell
}

pub(super) fn restrictions(known: &Known<'_>) -> Safeguard {
    let Known { settings, .. } = known;
    let mut tell = Safeguard::new("C26", "164.522(a)", "required", "Restrictions that a patient asked for");
    for route in settings.routes.iter().filter(|route| route.kind.starts_with("FHIR")) {
        match route.heeds_consents {
            true => tell.force(format!("{} keeps to what patients have forbidden by Consents.", route.name)),
            false => {
                tell.miss(format!("{} does not look at Consents (`consent = \"enforce\"`).", route.name))
            }
        }
    }
    tell
}
