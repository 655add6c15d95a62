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

/// One record, and how long what it says is.
type One = (usize, Record, usize);

/// An upstream's answer, page by page.
#[derive(Clone)]
struct Pages(Vec<Vec<One>>);

impl Pages {
    /// As an upstream cuts it.
    fn cut(records: &[One], size: usize) -> Self {
        Self(if records.is_empty() {
            vec![vec![]]
        } else {
            records.chunks(size).map(<[_]>::to_vec).collect()
        })
    }

    /// A page of the answer that the upstream calls this.
    fn bundle(&self, (answer, number): Name, kind: Kind) -> String {
        let entry = |(id, record, length): &One| {
            let subject = if *record == Record::Own { "Patient/a" } else { "Patient/b" };
            let resource = json!({ "resourceType": "Observation", "id": format!("o{id}"), "meta": { "versionId": "1" },
                "subject": { "reference": subject }, "status": "x".repeat(*length) });
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
            .then(|| json!({ "relation": "next", "url": format!("http://hapi:8080/fhir?{answer}={after}") }));
        let kind = match kind {
            Kind::Searchset => "searchset",
            Kind::History => "history",
        };
        let links: Vec<Value> = next.into_iter().collect();
        json!({ "resourceType": "Bundle", "type": kind, "link": links, "entry": entries }).to_string()
    }
}

/// Which answer of the upstream's, and which page of that.
type Name = (usize, usize);

fn name(page: &NextPage) -> Name {
    let (answer, number) = page.as_str().trim_start_matches('?').split_once('=').unwrap();
    (answer.parse().unwrap(), number.parse().unwrap())
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

/// An upstream that is asked, and whose answers stay as they are from then on.
struct Upstream<F> {
    ask: F,
    answers: Vec<Pages>,
}

impl<F: FnMut() -> Pages> Upstream<F> {
    fn page(&mut self, page: Option<&NextPage>, kind: Kind) -> String {
        let at = page.map(name).unwrap_or_else(|| {
            self.answers.push((self.ask)());
            (self.answers.len().saturating_sub(1), 0)
        });
        self.answers[at.0].bundle(at, kind)
    }

    /// What leaves where a page begins, and where the next one does.
    fn turn(
        &mut self,
        place: Place,
        kind: Kind,
        most: Most,
        finds: Finds,
    ) -> Result<(Vec<String>, usize, Option<Next>), Stuck> {
        let mut page = place.page.clone();
        let mut filling = Filling::begin(place, most, finds);
        let mut gathered = match kind {
            Kind::Searchset => Gathered::searchset(),
            Kind::History => Gathered::history(),
        };
        let next = loop {
            let wanted = filling.wanted(&gathered);
            let seen = seen(&self.page(page.as_ref(), kind), kind, wanted, &mut gathered);
            match filling.seen(seen, &gathered)? {
                Turn::On(after) => page = Some(after),
                Turn::Complete(next) => break next,
            }
        };
        let released = gathered.into_bundle(Links { own: "", next: None });
        Ok((released.notes, released.withheld, next))
    }
}

/// Goes from link to link, each of them twice, and returns what leaves, page by page, and how many are withheld in all.
fn listed(
    ask: impl FnMut() -> Pages,
    kind: Kind,
    mut most: Most,
    finds: Finds,
) -> Result<(Vec<Vec<String>>, usize), Stuck> {
    let mut upstream = Upstream { ask, answers: Vec::new() };
    let (mut all, mut withheld, mut place) = (Vec::new(), 0_usize, Place::START);
    loop {
        let (notes, stay, next) = upstream.turn(place.clone(), kind, most, finds)?;
        if place != Place::START {
            assert_eq!(upstream.turn(place, kind, most, finds)?.0, notes, "the same link leads to the same");
        }
        all.push(notes);
        withheld = withheld.saturating_add(stay);
        // A link says how many records a page has.
        most.records = None;
        match next {
            Some(next) => {
                assert!(next.size > 0, "{next:?}");
                place = next.into();
            }
            None => return Ok((all, withheld)),
        }
    }
}

/// The same of an upstream that always answers the same.
fn leaving(pages: &Pages, kind: Kind, records: Option<u16>, finds: Finds) -> Result<Vec<Vec<String>>, Stuck> {
    let most = Most { records, bytes: LONG };
    Ok(listed(|| pages.clone(), kind, most, finds)?.0)
}

fn records() -> impl Strategy<Value = Vec<One>> {
    let record = prop_oneof![Just(Record::Own), Just(Record::Hidden)];
    let numbered = |(id, (record, length))| (id, record, length);
    prop::collection::vec((record, 0..300_usize), 0..130)
        .prop_map(move |records| records.into_iter().enumerate().map(numbered).collect())
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Searchset), Just(Kind::History)]
}

/// What may leave of some records.
fn own(records: &[One]) -> Vec<One> {
    records.iter().copied().filter(|(_, record, _)| *record == Record::Own).collect()
}

fn ids(records: &[One]) -> Vec<String> {
    records.iter().map(|(id, ..)| format!("o{id}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is withheld leaves no trace: the same pages leave as if it were not there, whatever is asked for, and whether
    /// the upstream gives as many, caps its pages or does not care.
    #[test]
    fn the_same_pages_leave_as_if_the_hidden_records_were_not_there(
        records in records(), kind in kinds(), count in prop::option::of(1..140_u16), cap in 1..140_usize, listens: bool,
    ) {
        let size = match count {
            Some(count) if listens => usize::from(at_least(Some(count))).min(cap),
            Some(_) | None => cap,
        };
        let of = |records: &[_]| leaving(&Pages::cut(records, size), kind, count, Finds::OthersToo).unwrap();
        let left = of(&records);
        prop_assert_eq!(&left, &of(&own(&records)));
        let most = count.map_or(usize::MAX, usize::from);
        prop_assert!(left.iter().all(|page| page.len() <= most), "{left:?}");
        prop_assert_eq!(left.concat(), ids(&own(&records)), "each once and in order");
        prop_assert!(left.len() == 1 || left.iter().all(|page| !page.is_empty()), "a link leads to something: {left:?}");
    }

    /// The same where pages end for their length, with what is withheld counted once; without a number a page is as the
    /// upstream's first.
    #[test]
    fn pages_that_end_for_their_length_tell_nothing_of_the_hidden_records_either(
        records in records(), kind in kinds(), count in prop::option::of(1..60_u16), bytes in 300..6_000_usize, size in 40..80_usize,
    ) {
        let most = Most { records: count, bytes };
        let of = |records: &[_]| listed(|| Pages::cut(records, size), kind, most, Finds::OthersToo).unwrap();
        let (left, withheld) = of(&records);
        prop_assert_eq!(&left, &of(&own(&records)).0);
        prop_assert_eq!(left.concat(), ids(&own(&records)));
        prop_assert_eq!(withheld.saturating_add(own(&records).len()), records.len());
    }

    /// Hidden records come and go between two links: nothing that may be seen is repeated or skipped, and the same pages leave.
    #[test]
    fn what_becomes_of_hidden_records_between_two_pages_does_not_show(
        records in records(), kind in kinds(), count in 1..60_u16, bytes in prop_oneof![500..6_000_usize, Just(LONG)],
        cap in 60..120_usize, changes in prop::collection::vec(any::<u8>(), 1..6),
    ) {
        let most = Most { records: Some(count), bytes };
        let mut times = changes.iter().cycle();
        let now = || {
            let is_there = times.next().unwrap();
            let there: Vec<One> = records.iter().copied().filter(|(id, record, _)| *record == Record::Own || is_there >> (id % 8) & 1 == 1).collect();
            Pages::cut(&there, cap)
        };
        let (left, _) = listed(now, kind, most, Finds::OthersToo).unwrap();
        let (expected, _) = listed(|| Pages::cut(&own(&records), cap), kind, most, Finds::OthersToo).unwrap();
        prop_assert_eq!(left, expected);
    }

    /// An upstream whose pages are now long, now short or empty: each is filled up from the next.
    #[test]
    fn pages_are_as_full_as_the_first_one_or_as_was_asked_for(
        pages in prop::collection::vec(prop::collection::vec(prop_oneof![Just(Record::Own), Just(Record::Hidden)], 0..6), 1..8),
        kind in kinds(), count in prop::option::of(1..8_u16),
    ) {
        let mut numbers = 0_usize..;
        let pages = Pages(pages.into_iter().map(|page| page.into_iter().map(|record| (numbers.next().unwrap(), record, 0)).collect()).collect());
        let first = pages.0.iter().map(Vec::len).find(|length| *length > 0).unwrap_or(1);
        let size = count.map_or(first, |count| first.min(count.into()));
        let own = ids(&own(&pages.0.concat()));
        let expected: Vec<Vec<String>> = own.chunks(size).map(<[_]>::to_vec).collect();
        let left = leaving(&pages, kind, count, Finds::OthersToo).unwrap();
        prop_assert_eq!(left, if expected.is_empty() { vec![vec![]] } else { expected });
    }

    /// Where nothing else is found there is no look ahead, and nothing is lost either.
    #[test]
    fn what_is_all_within_reach_is_cut_in_the_same_way(number in 0..160_usize, kind in kinds(), count in 1..140_u16, cap in 1..140_usize) {
        let records: Vec<_> = (0..number).map(|id| (id, Record::Own, 0)).collect();
        let size = usize::from(at_least(Some(count))).min(cap);
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
        let record = |id| (id, if id == 0 || id == last { Record::Own } else { Record::Hidden }, 0);
        (0..=last).map(record).collect::<Vec<_>>()
    };
    let of = |records: &[_], count: u16| {
        let size = usize::from(at_least(Some(count)));
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
    let hidden = |number: usize| (0..number).map(|id| (id, Record::Hidden, 0)).collect::<Vec<_>>();
    assert_eq!(of(&hidden(bound + usize::from(PAGE)), 1), Ok(vec![vec![]]));
    assert_eq!(of(&hidden(bound + usize::from(PAGE) + 1), 1), Err(Stuck::Exhausted));
}

#[test]
fn a_page_that_is_its_own_next_one_is_noticed() {
    let page: NextPage = "?page=1".parse().unwrap();
    let mut filling = Filling::begin(Place::START, Most { records: Some(1), bytes: LONG }, Finds::OthersToo);
    let seen = || Seen { found: 1, progress: Progress::AllSeen(0), after: Some(page.clone()) };
    let gathered = Gathered::<()>::searchset();
    assert!(matches!(filling.seen(seen(), &gathered), Ok(Turn::On(_))));
    assert!(matches!(filling.seen(seen(), &gathered), Err(Stuck::Loops)));
}
