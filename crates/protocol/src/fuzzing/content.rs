//! What upstreams give besides records and bundles: content, what they export, and what operations give.

use super::fhir::bases;
use crate::fhir::binary::{binaries_in, content_of, guard_of};
use crate::fhir::bulk::{Lines, Manifest, UpstreamPlace, percentage, record_in};
use crate::fhir::bundle::split::{ENTRY_DEPTH, Entries, Splitter};
use crate::fhir::content::MediaType;
use crate::fhir::name::ResourceType;
use crate::fhir::operation::{Input, OperationCall, release};
use crate::fhir::resource::Resource;
use crate::fhir::searchset::{Searchset, Sought};
use crate::fhir::version::FhirVersion;
use crate::fhir::view::View;
use crate::json;

/// Any bytes as a Binary. What it says it is can stand in a header, and is read back the same.
pub fn fuzz_fhir_content(data: &[u8]) {
    let (Some(bases), Ok(asked)) = (bases(), "Binary/a".parse()) else { return };
    let Ok(binary) = Resource::parse(data, &asked, None) else { return };
    if let crate::fhir::binary::Guard::Record(record) = guard_of(binary.value(), &bases) {
        assert!(record.resource_type != ResourceType::BINARY, "no content protects content");
    }
    let _ = binaries_in(binary.value(), &bases);
    let Ok(content) = content_of(&binary) else { return };
    let name = content.media_type.to_string();
    assert!(name.bytes().all(|b| (b' '..0x7f).contains(&b)), "it can stand in a header");
    assert!(MediaType::of(&name).as_ref() == Some(&content.media_type), "what is written is read back");
}

/// Any bytes as an upstream's manifest, as the lines of a file, and as the place of one. What is asked for lies below the
/// upstream's base, and lines are the same however they arrive.
pub fn fuzz_fhir_bulk(data: &[u8]) {
    let Some(bases) = bases() else { return };
    let types: Vec<ResourceType> = ResourceType::all(FhirVersion::R4).collect();
    let places = Manifest::parse(data, &types, &bases)
        .map(|manifest| manifest.files.into_iter().map(|file| file.place).collect::<Vec<_>>());
    let mut places = places.unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(data) {
        places.extend(UpstreamPlace::of(text, &bases));
        assert!(percentage(text).is_none_or(|number| number <= 100), "hundredths");
    }
    for place in places {
        let (path, _) = place.as_str().split_once('?').unwrap_or((place.as_str(), ""));
        let plain =
            path.is_empty() || path.starts_with('/') && !path.contains("//") && !path.contains("/../");
        assert!(plain && !path.contains(['%', '\\', '#']), "one reading: {}", place.as_str());
    }
    let whole = split(data, data.len().max(1));
    assert!(whole == split(data, 1) && whole == split(data, 7), "lines are lines");
    for line in whole {
        let _ = record_in(&line).map(|record| record.reference().clone());
    }
}

/// Any bytes as a bundle that arrives in pieces. Its entries are those of a reader of the whole, however it arrives.
pub fn fuzz_fhir_entries(data: &[u8]) {
    let Some(bases) = bases() else { return };
    let apart = |size: usize| {
        let (mut splitter, mut entries) = (Splitter::new(Entries::Given), Vec::new());
        for piece in data.chunks(size) {
            splitter.push(piece, |entry| entries.push(entry.to_vec())).ok()?;
        }
        let outline = splitter.end("searchset", &bases).ok()?;
        let is_sound = entries.iter().all(|entry| json::Object::parse(entry, ENTRY_DEPTH).is_ok());
        is_sound.then_some((entries, outline))
    };
    let whole = Searchset::parse(data, Sought::Everything, &bases).ok();
    let split = apart(data.len().max(1));
    assert!(split == apart(1) && split == apart(7), "entries are entries");
    assert!(split.is_some() == whole.is_some(), "what is no bundle has a part that is none");
    if let (Some((_, outline)), Some(whole)) = (split, whole) {
        assert!(outline.next.as_ref() == whole.next(), "the next page is the same");
    }
}

fn split(data: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut lines = Lines::new(usize::MAX);
    let mut all: Vec<_> = data.chunks(size).filter_map(|piece| lines.push(piece).ok()).flatten().collect();
    all.extend(lines.end());
    all
}

/// A path in the first line, a query in the second, and after them the body of an operation or its answer. What goes upstream
/// names nothing else than what was looked at, and what was released is released again.
pub fn fuzz_fhir_operation(data: &[u8]) {
    let Some(bases) = bases() else { return };
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let (Some(path), Some(query), Some(body)) = (parts.next(), parts.next(), parts.next()) else { return };
    if let Some(call) = std::str::from_utf8(path).ok().and_then(OperationCall::at) {
        assert!(
            OperationCall::at(&format!("/{call}")).as_ref() == Some(&call),
            "what is called is what was read"
        );
    }
    let known = ["patient", "thing"].map(str::to_owned);
    let read =
        |query: &str, body| Input::parse(query, Some((body, Some("application/fhir+json"))), &known, &bases);
    if let Ok(input) =
        std::str::from_utf8(query).map_err(drop).and_then(|query| read(query, body).map_err(drop))
    {
        let sent = input.body.unwrap_or_default();
        let again = read(&input.query.encode(), sent.as_bytes());
        assert!(
            again.is_ok_and(|again| again.names == input.names),
            "what goes upstream names the same records"
        );
    }
    let mine = |resource: &Resource<'_>| resource.reference().id.as_str() == "a";
    let Ok(output) = release(body, "https://gate.test/fhir/$x", &bases, |resource| {
        mine(resource).then(|| View::whole(resource))
    }) else {
        return;
    };
    let Some(left) = output.body else { return };
    let again = release(left.as_bytes(), "https://gate.test/fhir/$x", &bases, |resource| {
        assert!(mine(resource), "nothing else leaves");
        Some(View::whole(resource))
    });
    assert!(
        again.is_ok_and(|again| again.withheld == 0 && again.body == Some(left)),
        "and is released again"
    );
}
