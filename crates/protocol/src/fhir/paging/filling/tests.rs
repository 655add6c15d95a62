use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fhir::base::BaseUrls;
use crate::fhir::bundle::Links;
use crate::fhir::history::{History, HistoryOf};
use crate::fhir::resource::Resource;
use crate::fhir::searchset::{Companions, Disposition, Searchset, Sought};
use crate::fhir::version::FhirVersion;
use crate::fhir::view::View;

fn bases() -> BaseUrls {
    BaseUrls {
        public: "https://gate.test/fhir".parse().unwrap(),
        upstream: "http://hapi:8080/fhir".parse().unwrap(),
        version: FhirVersion::R4,
    }
}

/// What is gone through.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Searchset,
    History,
}

/// Whether a record may leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Record {
    Own,
    Hidden,
}

/// An upstream's answer, page by page.
struct Pages(Vec<Vec<(usize, Record)>>);

impl Pages {
    /// As an upstream cuts it.
    fn cut(records: &[(usize, Record)], size: usize) -> Self {
        Self(if records.is_empty() {
            vec![vec![]]
        } else {
            records.chunks(size).map(<[_]>::to_vec).collect()
        })
    }

    fn bundle(&self, number: usize, kind: Kind) -> String {
        let entry = |(id, record): &(usize, Record)| {
            let subject = if *record == Record::Own { "Patient/a" } else { "Patient/b" };
            let resource = json!({ "resourceType": "Observation", "id": format!("o{id}"), "meta": { "versionId": "1" },
                "subject": { "reference": subject } });
            match kind {
                Kind::Searchset => json!({ "resource": resource }),
                Kind::History => {
                    json!({ "resource": resource, "request": { "method": "POST", "url": "Observation" } })
                }
            }
        };
        let entries: Vec<Value> = self.0[number].iter().map(entry).collect();
        let after = number.saturating_add(1);
        let next = (after < self.0.len())
            .then(|| json!({ "relation": "next", "url": format!("http://hapi:8080/fhir?page={after}") }));
        let kind = match kind {
            Kind::Searchset => "searchset",
            Kind::History => "history",
        };
        let links: Vec<Value> = next.into_iter().collect();
        json!({ "resourceType": "Bundle", "type": kind, "link": links, "entry": entries }).to_string()
    }
}

/// Releases what belongs to patient `a`.
fn decide<'a>(resource: &Resource<'a>) -> Disposition<'a, String> {
    let id = resource.reference().id.to_string();
    let text = View::whole(resource);
    if text.text().contains("Patient/a") { Disposition::Release(text, id) } else { Disposition::Withhold }
}

fn seen(body: &str, kind: Kind, wanted: Wanted, gathered: &mut Gathered<String>) -> Seen {
    match kind {
        Kind::Searchset => {
            let sought = Sought::Type("Observation".parse().unwrap(), Companions::None);
            let page = Searchset::parse(body.as_bytes(), sought, &bases()).unwrap();
            let (found, after) = (page.found(), page.next().cloned());
            Seen {
                found,
                progress: page.gather(gathered, wanted, &bases(), |resource, _| decide(resource)),
                after,
            }
        }
        Kind::History => {
            let of = HistoryOf::Type("Observation".parse().unwrap());
            let page = History::parse(body.as_bytes(), &of, &bases()).unwrap();
            let (found, after) = (page.found(), page.next().cloned());
            Seen { found, progress: page.gather(gathered, wanted, &bases(), decide), after }
        }
    }
}

/// Goes from link to link and returns what leaves, page by page.
fn leaving(pages: &Pages, kind: Kind, most: Option<u16>, finds: Finds) -> Result<Vec<Vec<String>>, Stuck> {
    let number = |page: &Option<NextPage>| {
        page.as_ref().map_or(0, |page| page.as_str().rsplit('=').next().unwrap().parse().unwrap())
    };
    let (mut all, mut place, mut most) = (Vec::new(), Place::START, most);
    loop {
        let mut at = number(&place.page);
        let mut filling = Filling::begin(place, most, finds);
        let mut gathered = match kind {
            Kind::Searchset => Gathered::searchset(),
            Kind::History => Gathered::history(),
        };
        let next = loop {
            let wanted = filling.wanted(&gathered);
            let seen = seen(&pages.bundle(at, kind), kind, wanted, &mut gathered);
            match filling.seen(seen, &gathered)? {
                Turn::On(page) => at = number(&Some(page)),
                Turn::Complete(next) => break next,
            }
        };
        let notes = gathered.into_bundle(Links { own: "", next: None }).notes;
        all.push(notes);
        // A link says how many records a page has.
        most = None;
        match next {
            Some(next) => {
                assert!(next.size.is_some_and(|size| size > 0), "{next:?}");
                place = next;
            }
            None => return Ok(all),
        }
    }
}

fn records() -> impl Strategy<Value = Vec<(usize, Record)>> {
    let record = prop_oneof![Just(Record::Own), Just(Record::Hidden)];
    prop::collection::vec(record, 0..160).prop_map(|records| records.into_iter().enumerate().collect())
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Searchset), Just(Kind::History)]
}

/// What may leave of some records.
fn own(records: &[(usize, Record)]) -> Vec<(usize, Record)> {
    records.iter().copied().filter(|(_, record)| *record == Record::Own).collect()
}

proptest! {
    /// What is withheld leaves no trace: the same pages leave as if it were not there, whatever is asked for, and whether
    /// the upstream gives as many, caps its pages or does not care.
    #[test]
    fn the_same_pages_leave_as_if_the_hidden_records_were_not_there(
        records in records(), kind in kinds(), count in prop::option::of(1..140_u16), cap in 1..140_usize, listens: bool,
    ) {
        let size = match count {
            Some(count) if listens => usize::from(at_least(count)).min(cap),
            Some(_) | None => cap,
        };
        let of = |records: &[_]| leaving(&Pages::cut(records, size), kind, count, Finds::OthersToo).unwrap();
        let left = of(&records);
        prop_assert_eq!(&left, &of(&own(&records)));
        let most = count.map_or(usize::MAX, usize::from);
        prop_assert!(left.iter().all(|page| page.len() <= most), "{left:?}");
        let expected: Vec<String> = own(&records).iter().map(|(id, _)| format!("o{id}")).collect();
        prop_assert_eq!(left.concat(), expected, "each once and in order");
        prop_assert!(left.len() == 1 || left.iter().all(|page| !page.is_empty()), "a link leads to something: {left:?}");
    }

    /// An upstream whose pages are now long, now short or empty: each is filled up from the next.
    #[test]
    fn pages_are_as_full_as_the_first_one_or_as_was_asked_for(
        pages in prop::collection::vec(prop::collection::vec(prop_oneof![Just(Record::Own), Just(Record::Hidden)], 0..6), 1..8),
        kind in kinds(), count in prop::option::of(1..8_u16),
    ) {
        let mut ids = 0_usize..;
        let pages = Pages(pages.into_iter().map(|page| page.into_iter().map(|record| (ids.next().unwrap(), record)).collect()).collect());
        let first = pages.0.iter().map(Vec::len).find(|length| *length > 0).unwrap_or(1);
        let size = count.map_or(first, |count| first.min(count.into()));
        let own: Vec<String> = own(&pages.0.concat()).iter().map(|(id, _)| format!("o{id}")).collect();
        let expected: Vec<Vec<String>> = own.chunks(size).map(<[_]>::to_vec).collect();
        let left = leaving(&pages, kind, count, Finds::OthersToo).unwrap();
        prop_assert_eq!(left, if expected.is_empty() { vec![vec![]] } else { expected });
    }

    /// Where nothing else is found there is no look ahead, and nothing is lost either.
    #[test]
    fn what_is_all_within_reach_is_cut_in_the_same_way(number in 0..160_usize, kind in kinds(), count in 1..140_u16, cap in 1..140_usize) {
        let records: Vec<_> = (0..number).map(|id| (id, Record::Own)).collect();
        let size = usize::from(at_least(count)).min(cap);
        let left = leaving(&Pages::cut(&records, size), kind, Some(count), Finds::WithinReach).unwrap();
        prop_assert!(left.iter().all(|page| page.len() <= usize::from(count)));
        prop_assert_eq!(left.concat(), (0..number).map(|id| format!("o{id}")).collect::<Vec<_>>());
    }
}

#[test]
fn no_count_makes_the_bound_tell_of_few_hidden_records() {
    let bound = usize::from(PAGE) * usize::try_from(PAGES_AT_ONCE).unwrap();
    // One's own, so many of others', and one's own.
    let records = |hidden: usize| {
        let last = hidden + 1;
        let record = |id| (id, if id == 0 || id == last { Record::Own } else { Record::Hidden });
        (0..=last).map(record).collect::<Vec<_>>()
    };
    let of = |records: &[_], count: u16| {
        let size = usize::from(at_least(count));
        leaving(&Pages::cut(records, size), Kind::Searchset, Some(count), Finds::OthersToo)
    };
    for count in [1, 2, PAGE] {
        let shown = |hidden: usize| of(&records(hidden), count).unwrap();
        for hidden in [50, 51, bound / 2, bound] {
            let pages = shown(hidden).len();
            assert_eq!(pages, if count == 1 { 2 } else { 1 }, "{count} {hidden}");
        }
        // Beyond it, it tells: by a link to a page that is not full.
        assert_eq!(shown(bound + 2 * usize::from(PAGE)).len(), 2, "{count}");
    }
    let hidden = |number: usize| (0..number).map(|id| (id, Record::Hidden)).collect::<Vec<_>>();
    assert_eq!(of(&hidden(bound + usize::from(PAGE)), 1), Ok(vec![vec![]]));
    assert_eq!(of(&hidden(bound + usize::from(PAGE) + 1), 1), Err(Stuck::Exhausted));
}

#[test]
fn a_page_that_is_its_own_next_one_is_noticed() {
    let page: NextPage = "?page=1".parse().unwrap();
    let mut filling = Filling::begin(Place::START, Some(1), Finds::OthersToo);
    let seen = || Seen { found: 1, progress: Progress::AllSeen, after: Some(page.clone()) };
    let gathered = Gathered::<()>::searchset();
    assert!(matches!(filling.seen(seen(), &gathered), Ok(Turn::On(_))));
    assert!(matches!(filling.seen(seen(), &gathered), Err(Stuck::Loops)));
}
