//! What an EHR posts to begin a launch.

use serde_json::Value;

use crate::form::Form;
use crate::smart::launch::{LaunchContext, LaunchRequest};

/// Any form as the request for a launch handle.
pub fn fuzz_launch_request(data: &[u8]) {
    let Some((text, request)) = std::str::from_utf8(data).ok().and_then(|text| Some((text, read(text)?)))
    else {
        return;
    };
    let backwards: Vec<&str> = text.rsplit('&').collect();
    assert!(read(&backwards.join("&")).as_ref() == Some(&request), "in any order it says the same");
    let LaunchRequest { context, .. } = request;
    assert!(
        context.intent.as_ref().is_none_or(|intent| (1..=256).contains(&intent.len())),
        "an intent is short"
    );
    for item in &context.fhir_context {
        let names = item.reference.is_some() || item.canonical.is_some() || item.identifier.is_some();
        assert!(names, "an item names something");
        let compartment = item.reference.as_deref().is_some_and(|text| {
            ["Patient", "Encounter"].contains(&text.split('/').next().unwrap_or_default())
        });
        let by_a_role = item.role.as_deref().is_some_and(|role| role != "launch");
        assert!(!compartment || by_a_role, "patient and encounter have members of their own");
    }
    // Fractions are not read back to the last bit.
    if context
        .fhir_context
        .iter()
        .flat_map(|item| item.identifier.iter().flat_map(|map| map.values()))
        .all(is_exact)
    {
        let kept = serde_json::to_vec(&context).unwrap_or_default();
        assert!(
            serde_json::from_slice::<LaunchContext>(&kept).ok() == Some(context),
            "what is kept reads back"
        );
    }
}

fn read(text: &str) -> Option<LaunchRequest> {
    LaunchRequest::read(&Form::parse(text).ok()?).ok()
}

fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
