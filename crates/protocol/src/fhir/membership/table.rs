//! The table: for each type, the elements that say whose record it is.
//!
//! It is R4's patient compartment, its search parameters resolved to elements, less `author`, `performer`,
//! `asserter`, `recorder`, `informant` and `sender`: who wrote of a patient has no claim to what they wrote. A
//! Patient is its own record; `Patient.link` makes nobody another's.

/// What the table says of a type.
pub(super) enum Row {
    /// The resource is the patient.
    Itself,
    /// The type belongs to nobody.
    Nobody,
    /// Paths to references, which name the patients.
    Elements(&'static [&'static [&'static str]]),
    /// The type is not in the table.
    Unknown,
}

impl Row {
    pub(super) fn of(resource_type: &str) -> Self {
        let elements: &'static [&'static [&'static str]] = match resource_type {
            "Patient" => return Self::Itself,
            "HealthcareService" | "Location" | "Medication" | "Organization" | "Practitioner"
            | "PractitionerRole" => {
                return Self::Nobody;
            }
            "Account"
            | "AdverseEvent"
            | "Basic"
            | "CarePlan"
            | "ChargeItem"
            | "ClinicalImpression"
            | "Condition"
            | "DeviceRequest"
            | "DeviceUseStatement"
            | "DiagnosticReport"
            | "DocumentReference"
            | "Encounter"
            | "Flag"
            | "Goal"
            | "ImagingStudy"
            | "MeasureReport"
            | "Media"
            | "MedicationAdministration"
            | "MedicationRequest"
            | "MedicationStatement"
            | "Observation"
            | "Procedure"
            | "QuestionnaireResponse"
            | "RiskAssessment"
            | "ServiceRequest"
            | "Specimen" => &[&["subject"]],
            "AllergyIntolerance"
            | "BodyStructure"
            | "ClaimResponse"
            | "Consent"
            | "CoverageEligibilityRequest"
            | "CoverageEligibilityResponse"
            | "DetectedIssue"
            | "EpisodeOfCare"
            | "FamilyMemberHistory"
            | "Immunization"
            | "ImmunizationEvaluation"
            | "ImmunizationRecommendation"
            | "MolecularSequence"
            | "NutritionOrder"
            | "RelatedPerson"
            | "SupplyDelivery"
            | "VisionPrescription" => &[&["patient"]],
            "Appointment" => &[&["participant", "actor"]],
            "AppointmentResponse" | "Schedule" => &[&["actor"]],
            "AuditEvent" => &[&["agent", "who"], &["entity", "what"]],
            "CareTeam" => &[&["subject"], &["participant", "member"]],
            "Claim" | "ExplanationOfBenefit" => &[&["patient"], &["payee", "party"]],
            "Communication" => &[&["subject"], &["recipient"]],
            "CommunicationRequest" => &[&["subject"], &["recipient"], &["requester"]],
            "Composition" => &[&["subject"], &["attester", "party"]],
            "Coverage" => &[&["policyHolder"], &["subscriber"], &["beneficiary"], &["payor"]],
            "DocumentManifest" | "Invoice" => &[&["subject"], &["recipient"]],
            "EnrollmentRequest" => &[&["candidate"]],
            "Group" => &[&["member", "entity"]],
            "List" => &[&["subject"], &["source"]],
            "MedicationDispense" => &[&["subject"], &["receiver"]],
            "Person" => &[&["link", "target"]],
            "Provenance" => &[&["target"]],
            "RequestGroup" => &[&["subject"], &["action", "participant"]],
            "ResearchSubject" => &[&["individual"]],
            "SupplyRequest" => &[&["deliverTo"]],
            "Task" => &[&["for"], &["focus"]],
            _ => return Self::Unknown,
        };
        Self::Elements(elements)
    }
}

/// The parameter that finds exactly what a row names. None where one element of several would find too little.
pub(super) fn search_parameter(resource_type: &str) -> Option<&'static str> {
    match (resource_type, Row::of(resource_type)) {
        (_, Row::Itself) => Some("_id"),
        (_, Row::Nobody | Row::Unknown) => None,
        ("AdverseEvent" | "SupplyRequest", _) => Some("subject"),
        ("Group", _) => Some("member"),
        ("Schedule", _) => Some("actor"),
        // Each names its patient in this element always; the others add people and take none away.
        ("Claim" | "Coverage" | "ExplanationOfBenefit", _) => Some("patient"),
        // The parameter looks into both elements.
        ("AuditEvent", _) => Some("patient"),
        (_, Row::Elements([_])) => Some("patient"),
        (_, Row::Elements(_)) => None,
    }
}
