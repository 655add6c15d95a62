use chartgate_values::Timestamp;
use proptest::prelude::*;

use super::syslog::{Format, Syslog};
use super::*;
use crate::data_keys::Month;
use crate::record::{Actor, ActorKind, Decision, Delegate, Outcome, Request, Response};

fn source() -> Source {
    Source { origin: "gate.test/audit".to_owned(), host: "gate.test".to_owned(), version: "0.1.0" }
}

fn view(patients: Patients) -> View {
    View::new(patients, &[7; 32], "siem")
}

fn syslog(format: Format) -> Syslog {
    Syslog { format, enterprise: 32473, longest: 8192, source: source() }
}

/// A read by a nurse, with something in every place that may tell of a patient.
fn read(mark: &str) -> Entry {
    let mut record = Record::new(Event::Access, Outcome::Allow, Timestamp::from_unix(1_793_836_800));
    let phi = |text: &str| Some(Phi::new(format!("{text}{mark}")));
    record.actor = Actor {
        sub: Some("nils".to_owned()),
        client_id: Some("demo-app".to_owned()),
        kind: ActorKind::Human,
        fhir_user: Some(Phi::new("Practitioner/nils".to_owned())),
        roles: vec!["nurse".to_owned()],
    };
    record.action = Some("read".to_owned());
    record.resource = phi("Observation/");
    record.patients = vec![Phi::new(mark.to_owned()), Phi::new(format!("{mark}-2"))];
    record.request.query = phi("name=");
    record.request.digest = phi("digest-");
    record.response.digests = vec![Phi::new(mark.to_owned())];
    record.response.status = Some(200);
    record.source_ip = Some(Phi::new("10.1.2.3".parse().unwrap()));
    for name in ["asked", "explanation", "note", "question", "consent", "care"] {
        record.detail.insert(name.to_owned(), Phi::new(mark.to_owned()));
    }
    record.detail.insert("policy_set".to_owned(), Phi::new("abc".to_owned()));
    Entry { index: 17, record, sealed: None }
}

fn all_formats(shown: &Shown) -> String {
    let mut all = shown.entry().to_exposed_json();
    all.push_str(&ocsf::event(shown, &source()).to_string());
    all.push_str(&otlp::request(std::slice::from_ref(shown), &source()).to_string());
    let batch = audit_event::batch(std::slice::from_ref(shown), &source(), (0, 0), 200).unwrap();
    all.push_str(&String::from_utf8(batch.body).unwrap());
    for format in [Format::Rfc5424, Format::Cef, Format::Dicom] {
        for frame in syslog(format).frames(shown) {
            all.push_str(&String::from_utf8(frame).unwrap());
        }
    }
    all
}

#[test]
fn what_tells_of_patients_goes_out_only_where_it_is_asked_for() {
    let mark = "marigold";
    for patients in [Patients::LeftOut, Patients::Pseudonyms] {
        let all = all_formats(&view(patients).show(read(mark)));
        assert!(!all.contains(mark), "{patients:?}: {all}");
        assert!(all.contains("nils") && all.contains("Observation") && all.contains("10.1.2.3"), "{all}");
    }
    let all = all_formats(&view(Patients::Ids).show(read(mark)));
    assert!(all.contains("Observation/marigold") && all.contains("marigold-2"), "{all}");
}

#[test]
fn a_pseudonym_is_the_same_for_a_receiver_and_another_for_another() {
    let shown = view(Patients::Pseudonyms).show(read("a"));
    let again = view(Patients::Pseudonyms).show(read("a"));
    let other = View::new(Patients::Pseudonyms, &[7; 32], "lake").show(read("a"));
    let elsewhere = View::new(Patients::Pseudonyms, &[8; 32], "siem").show(read("a"));
    let patients = |shown: &Shown| shown.entry().record.patients.clone();
    assert_eq!(patients(&shown), patients(&again));
    assert_ne!(patients(&shown), patients(&other));
    assert_ne!(patients(&shown), patients(&elsewhere));
    assert_ne!(patients(&shown)[0], patients(&shown)[1]);
    // Whose record it is and the record of that patient have one name.
    let mut own = read("a");
    own.record.resource = Some(Phi::new("Patient/a/_history/2".to_owned()));
    let own = view(Patients::Pseudonyms).show(own);
    let resource = own.entry().record.resource.as_ref().unwrap().expose().clone();
    assert!(resource.starts_with(&format!("Patient/{}/_history/p-", patients(&shown)[0].expose())));
}

#[test]
fn a_patients_pseudonym_never_stands_beside_the_name_they_sign_in_with() {
    for user in [
        Some("Patient/a"),
        Some("https://fhir.example/Patient/a"),
        Some("RelatedPerson/x"),
        Some("Person/x"),
        // Records of grants do not say whose resource somebody is.
        None,
    ] {
        let mut entry = read("a");
        entry.record.actor.fhir_user = user.map(|user| Phi::new(user.to_owned()));
        let shown = view(Patients::Pseudonyms).show(entry);
        let record = &shown.entry().record;
        assert!(record.patients.is_empty() && record.source_ip.is_none(), "{record:?}");
        assert_eq!(record.resource.as_ref().unwrap().expose(), "Observation");
        assert!(record.actor.fhir_user.as_ref().is_none_or(|user| !user.expose().contains('/')));
    }
}

#[test]
fn nor_beside_that_of_whom_a_finding_says_that_it_is_their_own_record_or_their_familys() {
    for (id, is_told) in [("self-access-0-17", false), ("same-surname-0-17", false), ("canary-0-17", true)] {
        for officer in [None, Some("Practitioner/olga")] {
            let mut record = Record::new(Event::WatchRead, Outcome::Allow, Timestamp::from_unix(0));
            record.actor.kind = officer.map_or(ActorKind::Local, |_| ActorKind::Human);
            record.actor.fhir_user = officer.map(|user| Phi::new(user.to_owned()));
            record.resource = Some(Phi::new(id.to_owned()));
            record.patients = vec![Phi::new("marigold".to_owned())];
            for (name, value) in [("finding", id), ("user", "dana")] {
                record.detail.insert(name.to_owned(), Phi::new(value.to_owned()));
            }
            let shown = view(Patients::Pseudonyms).show(Entry { index: 18, record, sealed: None });
            assert_eq!(shown.entry().record.patients.len(), usize::from(is_told), "{id}");
            let all = all_formats(&shown);
            assert!(all.contains("dana"), "{all}");
            assert_eq!(all.contains(id), is_told, "the finding's name has the index of the access: {all}");
        }
    }
}

#[test]
fn an_id_that_looks_like_a_pseudonym_is_a_reference_where_ids_are_told() {
    let reference = |patients| {
        let mut entry = read("a");
        entry.record.resource = Some(Phi::new("Patient/p-17".to_owned()));
        entry.record.patients = vec![Phi::new("p-17".to_owned())];
        let shown = view(patients).show(entry);
        let event = audit_event::audit_events(&shown, &source(), 0).next().unwrap();
        event.to_string().matches(r#"{"reference":"Patient/p-17"}"#).count()
    };
    assert_eq!(reference(Patients::Ids), 2);
    assert_eq!(reference(Patients::Pseudonyms), 0);
}

#[test]
fn a_change_of_an_account_names_whose_it_is() {
    for (event, sub, resource, user) in [
        (Event::SessionEnded, Some("local:0"), Some("https://idp.test#a-session"), "somebody unknown"),
        (Event::UserDisabled, None, Some("dana"), "dana"),
        (Event::PasswordSet, Some("dana"), None, "dana"),
        (Event::FactorRemoved, Some("dana"), Some("a-passkey"), "dana"),
        (Event::SessionEnded, None, Some("a-session"), "dana"),
        (Event::Logout, Some("dana"), Some("a-session"), "dana"),
    ] {
        let mut record = Record::new(event, Outcome::Allow, Timestamp::from_unix(0));
        record.actor.sub = sub.map(str::to_owned);
        record.resource = resource.map(|what| Phi::new(what.to_owned()));
        if event == Event::SessionEnded {
            record.actor.kind = ActorKind::Local;
        }
        if event == Event::SessionEnded && sub.is_none() {
            record.detail.insert("user".to_owned(), Phi::new("dana".to_owned()));
        }
        let shown = view(Patients::Pseudonyms).show(Entry { index: 0, record, sealed: None });
        assert_eq!(ocsf::event(&shown, &source())["user"]["uid"], user, "{event}");
    }
}

#[test]
fn paths_of_other_routes_are_not_told() {
    let mut entry = read("a");
    entry.record.resource = Some(Phi::new("/orders/marigold".to_owned()));
    for patients in [Patients::LeftOut, Patients::Pseudonyms] {
        let shown = view(patients).show(entry.clone());
        assert!(!shown.entry().record.resource.as_ref().unwrap().expose().contains("orders"));
    }
}

#[test]
fn what_is_done_to_people_and_programs_is_told() {
    let mut record = Record::new(Event::UserDisabled, Outcome::Allow, Timestamp::from_unix(0));
    record.resource = Some(Phi::new("dana".to_owned()));
    let shown = view(Patients::LeftOut).show(Entry { index: 0, record, sealed: None });
    assert!(all_formats(&shown).contains(" dana: allow"));
}

#[test]
fn an_entry_whose_key_is_gone_goes_out_as_what_is_left_of_it() {
    let record = Record::new(Event::Access, Outcome::Deny, Timestamp::from_unix(0));
    let sealed = Some("2026-11".parse::<Month>().unwrap());
    let shown = view(Patients::Ids).show(Entry { index: 3, record, sealed });
    for format in [Format::Rfc5424, Format::Dicom] {
        let frame = String::from_utf8(syslog(format).frames(&shown).remove(0)).unwrap();
        assert!(frame.contains("sealed"), "{frame}");
    }
}

#[test]
fn a_message_is_as_the_standard_has_it() {
    let shown = view(Patients::LeftOut).show(read("a"));
    let frame = String::from_utf8(syslog(Format::Rfc5424).frames(&shown).remove(0)).unwrap();
    let message = frame.split_once(' ').unwrap().1;
    assert!(
        message.starts_with(
            "<85>1 2026-11-05T00:00:00.000000Z gate.test chartgate - access [chartgate@32473 index=\"17\" "
        ),
        "{message}"
    );
    assert!(message.ends_with("] \u{feff}nils read Observation: allow"), "{message}");
}

#[test]
fn a_message_ends_before_it_is_too_long_and_says_how_many_there_are() {
    let mut entry = read("a");
    entry.record.patients = (0..5000).map(|n| Phi::new(format!("patient-{n}"))).collect();
    let shown = view(Patients::Ids).show(entry);
    for format in [Format::Rfc5424, Format::Cef] {
        let frames = syslog(format).frames(&shown);
        assert_eq!(frames.len(), 1);
        assert!(frames[0].len() < 8192, "{}", frames[0].len());
        let text = String::from_utf8(frames[0].clone()).unwrap();
        assert!(text.contains("patient-100"), "{text}");
    }
    // An auditor's repository gets all of them.
    let frames = syslog(Format::Dicom).frames(&shown);
    let all: String = frames.iter().map(|frame| String::from_utf8(frame.clone()).unwrap()).collect();
    assert!((0..5000).all(|n| all.contains(&format!("ParticipantObjectID=\"patient-{n}\""))));
    assert!(frames.iter().all(|frame| frame.len() < 16384));
}

/// Splits frames as a receiver does.
fn unframe(mut bytes: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let rest = &bytes[space.saturating_add(1)..];
        messages.push(String::from_utf8(rest[..length].to_vec()).unwrap());
        bytes = &rest[length..];
    }
    messages
}

/// The value of a parameter, as RFC 5424 section 6.3.3 has it read.
fn value_of(message: &str, name: &str) -> Option<String> {
    let data = message.split_once(" [chartgate@32473").unwrap().1;
    let mut rest = data;
    while let Some(begun) = rest.strip_prefix(' ') {
        let (found, text) = begun.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut characters = text.char_indices();
        let end = loop {
            match characters.next().unwrap() {
                (_, '\\') => value.push(characters.next().unwrap().1),
                (at, '"') => break at,
                (_, c) => value.push(c),
            }
        };
        if found == name {
            return Some(value);
        }
        rest = text.get(end.saturating_add(1)..).unwrap();
    }
    assert!(rest.starts_with(']'), "{rest}");
    None
}

proptest! {
    #[test]
    fn nothing_that_a_record_says_breaks_out_of_its_place(text in any::<String>(), more in "[\\\\\\]\"|=\n\r\u{0}-\u{1f}]{0,12}") {
        let hostile = format!("{more}{text}{more}");
        let mut entry = read(&hostile);
        entry.record.actor.sub = Some(hostile.clone());
        entry.record.action = Some(hostile.clone());
        entry.record.decision.reason = Some(hostile.clone());
        entry.record.detail.insert(hostile.clone(), Phi::new(hostile.clone()));
        let shown = view(Patients::Ids).show(entry);
        let wanted = text::printable(&hostile);
        let mut plain = read("a");
        plain.record.actor.sub = Some("dana".to_owned());
        plain.record.action = Some("read".to_owned());
        plain.record.decision.reason = Some("none".to_owned());
        let plain = syslog(Format::Cef).frames(&view(Patients::Ids).show(plain)).concat();
        let harmless = extension(&fields_raw(unframe(&plain)[0].split_once(" - CEF:0|").unwrap().1)[6]);
        for format in [Format::Rfc5424, Format::Cef, Format::Dicom] {
            let frames = syslog(format).frames(&shown);
            let messages = unframe(&frames.concat());
            prop_assert_eq!(messages.len(), frames.len());
            for message in &messages {
                prop_assert!(message.starts_with("<85>1 2026-11-05T00:00:00.000000Z gate.test chartgate - "));
                prop_assert!(!message.chars().any(char::is_control));
            }
            match format {
                Format::Rfc5424 => prop_assert_eq!(value_of(&messages[0], "sub"), Some(wanted.clone())),
                Format::Cef => {
                    let cef = messages[0].split_once(" - CEF:0|").unwrap().1;
                    let fields = unescaped(cef, '|');
                    prop_assert_eq!(fields.len(), 7);
                    prop_assert_eq!(&fields[4], &wanted);
                    let extension = extension(&fields_raw(cef)[6]);
                    let names = |of: &[(String, String)]| of.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
                    prop_assert_eq!(names(&extension), names(&harmless));
                    let value = |name: &str| extension.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
                    prop_assert_eq!(value("suser"), Some(wanted.clone()));
                    prop_assert_eq!(value("reason"), Some(wanted.clone()));
                }
                Format::Dicom => {
                    let xml = messages[0].split_once('\u{feff}').unwrap().1;
                    prop_assert_eq!(attribute(xml, "UserID"), Some(wanted.clone().replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")));
                }
            }
        }
    }
}

/// The parts between separators that stand behind no backslash, unescaped.
fn unescaped(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => part.extend(characters.next()),
            c if c == separator && (separator != '|' || parts.len() < 6) => {
                parts.push(std::mem::take(&mut part))
            }
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

/// The seven parts of an event as they stand there.
fn fields_raw(text: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                part.push(c);
                part.extend(characters.next());
            }
            '|' if parts.len() < 6 => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

/// The keys and values of a CEF extension, unescaped: a `=` behind no backslash ends a key, which begins behind a space.
fn extension(text: &str) -> Vec<(String, String)> {
    let (mut pairs, mut part): (Vec<(String, String)>, _) = (Vec::new(), String::new());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => part.extend(characters.next()),
            '=' => {
                let read = std::mem::take(&mut part);
                let (value, key) = read.rsplit_once(' ').unwrap_or(("", &read));
                if let Some(last) = pairs.last_mut() {
                    last.1 = value.to_owned();
                }
                pairs.push((key.to_owned(), String::new()));
            }
            c => part.push(c),
        }
    }
    if let Some(last) = pairs.last_mut() {
        last.1 = part;
    }
    pairs
}

/// The first attribute of a name, unescaped.
fn attribute(xml: &str, name: &str) -> Option<String> {
    let text = xml.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, c)| text.replace(entity, c)))
}

#[test]
fn a_batch_is_taken_if_each_of_its_entries_is() {
    let answer = |statuses: &[&str]| {
        let entries: Vec<_> =
            statuses.iter().map(|status| serde_json::json!({ "response": { "status": status } })).collect();
        serde_json::json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries })
            .to_string()
    };
    let taken = |statuses: &[&str], count| audit_event::all_taken(answer(statuses).as_bytes(), count);
    assert_eq!(taken(&["201 Created", "200"], 2), Ok(()));
    let some = |status, leading, taken| Err(audit_event::NotTaken::Some { status, leading, taken });
    assert_eq!(taken(&["201", "422 Unprocessable"], 2), some(422, 1, 1));
    assert_eq!(taken(&["503", "201", "422", "200"], 4), some(503, 0, 2));
    assert_eq!(taken(&["201"], 2), Err(audit_event::NotTaken::NoAnswer), "one is missing");
    assert_eq!(taken(&["201", "yes"], 2), Err(audit_event::NotTaken::NoAnswer));
    for none in ["", "{}", "[]", "<html>", "{\"resourceType\":\"OperationOutcome\"}"] {
        assert_eq!(
            audit_event::all_taken(none.as_bytes(), 0),
            Err(audit_event::NotTaken::NoAnswer),
            "{none}"
        );
    }
}

#[test]
fn audit_events_of_a_record_about_very_many_patients_come_in_bounded_batches() {
    let mut many = read("a");
    many.record.patients = (0..1001).map(|number| Phi::new(format!("p{number}"))).collect();
    let first = many.index;
    let mut after = read("b");
    (after.index, after.record.patients) = (first + 1, Vec::new());
    let shown = [many, after].map(|entry| view(Patients::Ids).show(entry));
    let (mut from, mut places, mut sizes) = ((0, 0), Vec::new(), Vec::new());
    while let Some(batch) = audit_event::batch(&shown, &source(), from, audit_event::MOST) {
        let bundle: serde_json::Value = serde_json::from_slice(&batch.body).unwrap();
        let entries = bundle["entry"].as_array().unwrap();
        assert_eq!((bundle["type"].as_str(), entries.len()), (Some("batch"), batch.places.len()));
        for (entry, (index, number)) in entries.iter().zip(&batch.places) {
            let patient = format!("\"Patient/p{number}\"");
            assert_eq!(entry.to_string().contains(&patient), *index == first, "{entry}");
        }
        sizes.push(batch.places.len());
        let (index, number) = *batch.places.last().unwrap();
        from = (index, number + 1);
        places.extend(batch.places);
    }
    assert_eq!(sizes, [200, 200, 200, 200, 200, 2]);
    let wanted: Vec<_> = (0..1001).map(|number| (first, number)).chain([(first + 1, 0)]).collect();
    assert_eq!(places, wanted);
    // Long ones are fewer at once.
    let mut long = read("a");
    long.record.resource = Some(Phi::new("x".repeat(1 << 20)));
    let long = view(Patients::Ids).show(long);
    let batch = audit_event::batch(std::slice::from_ref(&long), &source(), (0, 0), 200).unwrap();
    assert!(batch.body.len() < 8 << 20, "{}", batch.body.len());
}

#[test]
fn a_collector_that_does_not_say_that_it_took_all_did_not() {
    use otlp::NotTaken::{NoAnswer, Some};
    for (answer, wanted) in [
        ("", Ok(())),
        (" \n", Ok(())),
        ("{}", Ok(())),
        ("{\"partialSuccess\":null}", Ok(())),
        ("{\"partialSuccess\":{}}", Ok(())),
        ("{\"partialSuccess\":{\"errorMessage\":\"beware\"}}", Ok(())),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":\"0\"}}", Ok(())),
        ("{\"partial_success\":{\"rejected_log_records\":0}}", Ok(())),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":\"3\"}}", Err(Some)),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":3}}", Err(Some)),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":-1}}", Err(Some)),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":2.0}}", Err(Some)),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":\"many\"}}", Err(Some)),
        ("{\"partial_success\":{\"rejected_log_records\":3}}", Err(Some)),
        ("{\"partialSuccess\":{\"rejectedLogRecords\":[3]}}", Err(NoAnswer)),
        ("{\"partialSuccess\":3}", Err(NoAnswer)),
        ("[]", Err(NoAnswer)),
        ("<html>", Err(NoAnswer)),
    ] {
        assert_eq!(otlp::all_taken(answer.as_bytes()), wanted, "{answer}");
    }
}

#[test]
fn an_audit_event_names_a_pattern_only_where_it_follows_it() {
    let profile = |entry: Entry, patients| {
        let events = {
            let shown = view(patients).show(entry);
            audit_event::audit_events(&shown, &source(), 0).collect::<Vec<_>>()
        };
        // The patterns know these two by their type alone.
        for event in &events {
            let entities = event["entity"].as_array().unwrap();
            let objects = entities.iter().filter(|entity| entity["type"]["code"] == "2");
            assert_eq!(objects.count(), 1, "{event}");
        }
        let profile = events[0]["meta"]["profile"][0].as_str().unwrap_or_default().to_owned();
        (events.len(), profile.rsplit('.').next().unwrap_or_default().to_owned())
    };
    let read = || read("a");
    assert_eq!(profile(read(), Patients::Ids), (2, "PatientRead".to_owned()));
    assert_eq!(profile(read(), Patients::LeftOut), (1, "Read".to_owned()));
    let does = |action: &str| {
        let mut entry = read();
        entry.record.action = Some(action.to_owned());
        entry
    };
    for (action, pattern) in [
        ("vread", "PatientRead"),
        ("create", "PatientCreate"),
        ("update", "PatientUpdate"),
        ("patch", "PatientUpdate"),
        ("delete", "PatientDelete"),
        ("search", "PatientQuery"),
        ("history", ""),
        ("capabilities", ""),
        ("$everything", ""),
        // Of other routes than FHIR's.
        ("GET", ""),
        ("POST", ""),
    ] {
        assert_eq!(profile(does(action), Patients::Ids), (2, pattern.to_owned()), "{action}");
    }
    assert_eq!(profile(does("search"), Patients::Pseudonyms), (2, String::new()), "the query is not told");
    let mut denied = read();
    denied.record.outcome = Outcome::Deny;
    assert_eq!(profile(denied, Patients::Ids), (2, String::new()));
    let mut from_nowhere = read();
    from_nowhere.record.source_ip = None;
    assert_eq!(profile(from_nowhere, Patients::Ids), (2, String::new()));
    let mut own = read();
    own.record.actor.fhir_user = Some(Phi::new("Patient/a".to_owned()));
    assert_eq!(profile(own, Patients::Pseudonyms), (1, String::new()), "the address is not told");
    // What is a pseudonym refers to nothing.
    let shown = view(Patients::Pseudonyms).show(read());
    let events: Vec<_> = audit_event::audit_events(&shown, &source(), 0).collect();
    assert!(!events[0].to_string().contains("\"reference\":\"Patient"), "{}", events[0]);
}

/// The agents of each pattern of IHE BALP 1.1.4: how it knows the client, the server and the person.
#[test]
fn an_audit_event_has_the_agents_of_its_pattern() {
    let (source_role, destination) = ("110153", "110152");
    for (action, client, server, person) in [
        ("create", source_role, destination, "AUT"),
        ("read", destination, source_role, "IRCP"),
        ("vread", destination, source_role, "IRCP"),
        ("update", source_role, destination, "AUT"),
        ("patch", source_role, destination, "AUT"),
        ("delete", "110150", "custodian", "AUT"),
        ("search", source_role, destination, "IRCP"),
    ] {
        let mut entry = read("a");
        entry.record.action = Some(action.to_owned());
        let shown = view(Patients::Ids).show(entry);
        for event in audit_event::audit_events(&shown, &source(), 0) {
            let agents = event["agent"].as_array().unwrap();
            let codes: Vec<_> =
                agents.iter().map(|agent| agent["type"]["coding"][0]["code"].as_str().unwrap()).collect();
            assert_eq!(codes[..3], [client, server, person], "{action}");
            let system = agents[1]["type"]["coding"][0]["system"].as_str().unwrap();
            assert_eq!(system.ends_with("/provenance-participant-type"), action == "delete", "{system}");
        }
    }
}

/// A record in which everything is told.
fn whole() -> Entry {
    let text = |name: &str| format!("told-{name}");
    let phi = |name: &str| Phi::new(text(name));
    let record = Record {
        event: Event::Access,
        outcome: Outcome::Allow,
        time: Timestamp::from_unix(1_793_836_800),
        actor: Actor {
            sub: Some(text("sub")),
            client_id: Some(text("client")),
            kind: ActorKind::Workload,
            fhir_user: Some(Phi::new("Practitioner/told-fhir-user".to_owned())),
            roles: vec![text("role")],
        },
        on_behalf_of: vec![Delegate { sub: text("delegate"), client_id: Some(text("through")) }],
        action: Some(text("action")),
        resource: Some(Phi::new("Observation/told-resource".to_owned())),
        patients: vec![phi("patient")],
        purpose_of_use: Some(text("purpose")),
        decision: Decision {
            policies: vec![text("policy")],
            reason: Some(text("reason")),
            obligations: vec![text("obligation")],
        },
        session: Some(text("session")),
        jti: Some(text("jti")),
        source_ip: Some(Phi::new("10.99.88.77".parse().unwrap())),
        request_id: Some(text("request-id")),
        route: Some(text("route")),
        request: Request {
            method: Some(text("method")),
            digest: Some(phi("digest")),
            query: Some(phi("query")),
        },
        response: Response {
            status: Some(418),
            count: Some(1_111_111),
            withheld: Some(2_222_222),
            bytes: Some(3_333_333),
            digests: vec![phi("released")],
            truncated: Some(text("truncated")),
        },
        acr: Some(text("acr")),
        amr: vec![text("amr")],
        auth_time: Some(Timestamp::from_unix(1_700_000_000)),
        grant: Some(text("grant")),
        entry: Some(444_444),
        detail: [(text("name"), phi("detail"))].into(),
    };
    Entry { index: 5_555_555, record, sealed: Some("2031-07".parse().unwrap()) }
}

/// What is to be found of it.
const TOLD: [&str; 35] = [
    "access",
    "allow",
    "told-sub",
    "told-client",
    "workload",
    "told-fhir-user",
    "told-role",
    "told-delegate",
    "told-through",
    "told-action",
    "told-resource",
    "told-patient",
    "told-purpose",
    "told-policy",
    "told-reason",
    "told-obligation",
    "told-session",
    "told-jti",
    "10.99.88.77",
    "told-request-id",
    "told-route",
    "told-method",
    "told-digest",
    "told-query",
    "418",
    "1111111",
    "2222222",
    "3333333",
    "told-released",
    "told-truncated",
    "told-acr",
    "told-amr",
    "2023-11-14T22:13:20",
    "told-grant",
    "444444",
];

/// What stands in base64 in some formats is read as what it is.
fn decoded(text: &str) -> String {
    use base64::Engine as _;
    let standard = base64::engine::general_purpose::STANDARD;
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c));
    let parts = words.flat_map(|word| [word, word.trim_start_matches('=')]);
    let read = parts.filter_map(|part| String::from_utf8(standard.decode(part).ok()?).ok());
    format!("{text}\n{}", read.collect::<Vec<_>>().join("\n"))
}

#[test]
fn every_format_tells_all_that_a_record_says_but_for_what_it_is_known_to_leave_out() {
    let shown = view(Patients::Ids).show(whole());
    let syslog = |format| String::from_utf8(syslog(format).frames(&shown).concat()).unwrap();
    let events: Vec<_> = audit_event::audit_events(&shown, &source(), 0).collect();
    // They are as long as the answer, and say nothing without it.
    let digests = ["told-digest", "told-released"];
    // All places that are free for what has none of its own are taken.
    let not_in_cef = [
        "workload",
        "told-fhir-user",
        "told-obligation",
        "told-jti",
        "told-digest",
        "told-query",
        "told-released",
        "told-truncated",
        "told-acr",
        "told-amr",
        "2023-11-14T22:13:20",
        "told-grant",
        "told-detail",
        "2031-07",
    ];
    for (format, text, left_out) in [
        ("rfc5424", syslog(Format::Rfc5424), &digests[..]),
        ("cef", syslog(Format::Cef), &not_in_cef),
        ("dicom", decoded(&syslog(Format::Dicom)), &["told-released"]),
        ("ocsf", ocsf::event(&shown, &source()).to_string(), &[]),
        ("otlp", otlp::request(std::slice::from_ref(&shown), &source()).to_string(), &[]),
        ("fhir", decoded(&events[0].to_string()), &["told-released"]),
        ("json", shown.entry().to_exposed_json(), &[]),
    ] {
        let missing: Vec<&str> = TOLD
            .into_iter()
            .chain(["told-detail", "5555555", "2031-07"])
            .filter(|told| !text.contains(told))
            .collect();
        // In their own numbers.
        let own: &[&str] = if ["dicom", "fhir", "ocsf"].contains(&format) { &["allow"] } else { &[] };
        let missing: Vec<&str> = missing.into_iter().filter(|told| !own.contains(told)).collect();
        assert_eq!(missing, left_out, "{format}: {text}");
    }
}

#[test]
fn what_is_about_to_be_done_is_not_told_as_done() {
    let of = |event| {
        let mut entry = read("a");
        (entry.record.event, entry.record.action) = (event, Some("update".to_owned()));
        view(Patients::Ids).show(entry)
    };
    let intent = of(Event::AccessIntent);
    let told = ocsf::event(&intent, &source());
    assert_eq!((&told["status_id"], &told["status"]), (&99.into(), &"Intended".into()), "{told}");
    assert_eq!((&told["activity_id"], &told["activity_name"]), (&99.into(), &"access.intent".into()));
    let mut texts = vec![told["message"].to_string()];
    texts.push(otlp::request(std::slice::from_ref(&intent), &source()).to_string());
    for format in [Format::Rfc5424, Format::Cef] {
        texts.push(String::from_utf8(syslog(format).frames(&intent).concat()).unwrap());
    }
    for text in &texts {
        assert!(text.contains("intended") && !text.contains("allow"), "{text}");
    }
    // Its end is no second act.
    let end = of(Event::AccessEnd);
    let told = ocsf::event(&end, &source());
    assert_eq!((&told["activity_id"], &told["status_id"]), (&99.into(), &1.into()), "{told}");
    for shown in [&intent, &end] {
        assert_eq!(audit_event::audit_events(shown, &source(), 0).count(), 0);
        assert!(audit_event::batch(std::slice::from_ref(shown), &source(), (0, 0), 200).is_none());
        assert!(syslog(Format::Dicom).frames(shown).is_empty());
    }
    let done = of(Event::Access);
    assert_eq!(ocsf::event(&done, &source())["activity_id"], 3);
    assert_eq!(audit_event::audit_events(&done, &source(), 0).count(), 2);
}

#[test]
fn ocsf_tells_from_where_whatever_the_class_and_how_far_a_finding_is() {
    let event = |event, outcome, disposition: Option<&str>| {
        let mut entry = read("a");
        (entry.record.event, entry.record.outcome) = (event, outcome);
        let disposition = disposition.map(|disposition| Phi::new(disposition.to_owned()));
        entry.record.detail.extend(disposition.map(|disposition| ("disposition".to_owned(), disposition)));
        ocsf::event(&view(Patients::Ids).show(entry), &source())
    };
    for of in [
        Event::Access,
        Event::LoginFailed,
        Event::Logout,
        Event::TokenIssued,
        Event::ConsentGranted,
        Event::EmergencyGranted,
        Event::UserDisabled,
        Event::ClientAdded,
    ] {
        let told = event(of, Outcome::Allow, None);
        assert_eq!(told["src_endpoint"]["ip"], "10.1.2.3", "{told}");
        assert!(told["unmapped"].get("source_ip").is_none(), "{told}");
    }
    for of in [Event::WatchFinding, Event::Started] {
        let told = event(of, Outcome::Allow, None);
        assert!(
            told.get("src_endpoint").is_none() && told.get("actor").is_none(),
            "the class has none: {told}"
        );
        for (name, value) in [("source_ip", "10.1.2.3"), ("sub", "nils"), ("resource", "Observation/a")] {
            assert_eq!(told["unmapped"][name], value, "{told}");
        }
    }
    // Where it is not told it is not there.
    let mut own = read("a");
    own.record.actor.fhir_user = Some(Phi::new("Patient/a".to_owned()));
    own.record.event = Event::LoginSucceeded;
    let told = ocsf::event(&view(Patients::Pseudonyms).show(own), &source());
    assert!(!told.to_string().contains("10.1.2.3"), "{told}");
    let (found, closed) = (Event::WatchFinding, Event::WatchClosed);
    for (of, outcome, disposition, status) in [
        (found, Outcome::Allow, None, 1),
        (closed, Outcome::Allow, Some("inappropriate"), 4),
        (closed, Outcome::Allow, Some("appropriate"), 3),
        (closed, Outcome::Allow, Some("needs-follow-up"), 2),
        (closed, Outcome::Deny, Some("inappropriate"), 2),
    ] {
        assert_eq!(event(of, outcome, disposition)["status_id"], status, "{of:?} {disposition:?}");
    }
}

#[test]
fn what_is_too_long_for_an_auditors_message_is_told_as_far_as_it_goes() {
    let mut entry = read("a");
    // As the gateway keeps what was asked: 2048 bytes, and a mark.
    entry.record.request.query = Some(Phi::new(format!("name={}…", "x".repeat(2043))));
    entry.record.detail.insert("asked".to_owned(), Phi::new("y".repeat(5000)));
    let shown = view(Patients::Ids).show(entry);
    let text = decoded(&String::from_utf8(syslog(Format::Dicom).frames(&shown).concat()).unwrap());
    assert!(text.contains("name=xxx") && text.contains("x…"), "{text}");
    assert!(text.contains("yyy") && text.contains("y…"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_message_is_never_too_long_and_names_what_is_not_all_there(
        texts in proptest::collection::vec(".{0,900}", 24),
        longest in prop_oneof![Just(2048_usize), Just(8192), 2048_usize..65536],
    ) {
        let mut entry = whole();
        let record = &mut entry.record;
        let mut texts = texts.into_iter();
        let mut next = || texts.next().unwrap();
        (record.actor.sub, record.actor.client_id) = (Some(next()), Some(next()));
        record.actor.roles = vec![next(), next()];
        record.actor.fhir_user = Some(Phi::new(next()));
        (record.action, record.resource) = (Some(next()), Some(Phi::new(next())));
        record.decision.policies = vec![next(), next(), next()];
        (record.decision.reason, record.purpose_of_use) = (Some(next()), Some(next()));
        (record.route, record.session, record.jti) = (Some(next()), Some(next()), Some(next()));
        (record.request_id, record.request.method) = (Some(next()), Some(next()));
        record.request.query = Some(Phi::new(next()));
        record.on_behalf_of = vec![Delegate { sub: next(), client_id: Some(next()) }];
        record.detail.insert(next(), Phi::new(next()));
        record.patients = (0..40).map(|number| Phi::new(format!("patient-{number}"))).collect();
        let sub = record.actor.sub.clone().unwrap();
        let shown = view(Patients::Ids).show(entry);
        for format in [Format::Rfc5424, Format::Cef] {
            let frames = Syslog { longest, ..syslog(format) }.frames(&shown);
            prop_assert_eq!(frames.len(), 1);
            prop_assert!(frames[0].len() <= longest, "{} of {longest}", frames[0].len());
            let message = unframe(&frames[0]).remove(0);
            if format == Format::Rfc5424 {
                let told = value_of(&message, "sub").unwrap();
                let cut = value_of(&message, "truncated").unwrap_or_default();
                prop_assert_eq!(told == text::printable(&sub), !cut.split(' ').any(|name| name == "sub"));
            }
        }
    }
}
