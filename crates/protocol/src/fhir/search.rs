//! Search of one type, by a list of what is allowed. HL7 FHIR 4.0.1, search.html.
//!
//! Every parameter is either one of R4's own for the type, with a value of its kind, or the search is refused: a
//! parameter that the upstream would ignore asks for more than the client meant, and the upstream's counts tell of records
//! that nobody checked. Chains are read here, and are for whoever may find all that is on their way ([`SearchQuery::ways`]).

use std::collections::BTreeSet;
use std::fmt;

use chartgate_values::Phi;

use super::membership;
use super::name::{ResourceId, ResourceType};
use super::paging::at_least;
use super::parameters::{self, Kind};
use super::reference::Reference;
use super::shape::Shape;
use super::token::{TokenParameter, TokenValue, list};
use super::version::FhirVersion;
use crate::form::Form;

mod chain;
mod error;
mod include;
mod value;

use chain::Chain;
pub use error::{SearchError, ShownName};
use include::Include;
use value::Values;
pub(super) use value::is_date;

/// A search that was understood as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SearchQuery {
    version: FhirVersion,
    resource_type: ResourceType,
    criteria: Vec<Criterion>,
    includes: Vec<Include>,
    sort: Vec<SortKey>,
    count: Option<u16>,
    shape: Shape,
}

/// One parameter. All have to hold; within one, one of its values.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Criterion {
    /// Over which references.
    chain: Chain,
    parameter: &'static str,
    modifier: Modifier,
    values: Phi<Values>,
}

/// search.html#modifiers, of which two are offered, on strings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Modifier {
    None,
    Contains,
    Exact,
}

/// search.html#sort.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct SortKey {
    parameter: &'static str,
    order: Order,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Order {
    Ascending,
    Descending,
}

/// A search that was to be narrowed to some patients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Narrowed {
    /// It finds their records alone.
    Within(SearchQuery),
    /// It finds others' too, as it did before.
    Open(SearchQuery),
}

impl SearchQuery {
    /// Reads a search out of a URL's query and, where it was posted, the body. `_format` is somebody else's.
    ///
    /// # Errors
    /// [`SearchError`], by the first parameter that is refused.
    pub fn parse(
        version: FhirVersion,
        resource_type: ResourceType,
        url: &Form,
        body: &Form,
    ) -> Result<Self, SearchError> {
        let in_body: BTreeSet<_> = body.iter().map(|(name, _)| bare_name(name)).collect();
        if let Some((name, _)) = url.iter().find(|(name, _)| in_body.contains(bare_name(name))) {
            return Err(SearchError::InUrlAndBody(ShownName::of(name)));
        }
        let mut query = Self {
            version,
            resource_type,
            criteria: Vec::new(),
            includes: Vec::new(),
            sort: Vec::new(),
            count: None,
            shape: Shape::Whole,
        };
        for (name, value) in url.iter().chain(body.iter()) {
            match name {
                "_format" => {}
                // search.html#count
                "_count" if value == "0" => query.read_shape("_summary", "count")?,
                "_count" => query.count = Some(read_count(query.count, value)?),
                "_sort" => query.read_sort(value)?,
                "_summary" | "_elements" => query.read_shape(name, value)?,
                _ => match Include::read(version, name, value) {
                    Some(include) => query.read_include(include?)?,
                    None => query.criteria.push(Criterion::read(version, resource_type, name, value)?),
                },
            }
        }
        Ok(query)
    }

    /// A parameter that a type can be searched by, with the name of its kind. HL7 FHIR 4.0.1,
    /// valueset-search-param-type.html.
    #[must_use]
    pub fn offers(
        version: FhirVersion,
        resource_type: ResourceType,
        name: &str,
    ) -> Option<(&'static str, &'static str)> {
        offered(version, resource_type, name).map(|(name, kind)| (name, kind.map_or("token", Kind::name)))
    }

    /// Of which FHIR it is.
    #[must_use]
    pub fn version(&self) -> FhirVersion {
        self.version
    }

    /// The type that is searched.
    #[must_use]
    pub fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// The first parameter that looks at what may not be looked at, by type and parameter: also to sort by, or to bring
    /// others along.
    #[must_use]
    pub fn beyond(&self, lets: impl Fn(ResourceType, &str) -> bool) -> Option<ShownName> {
        let own = |parameter: &str| !lets(self.resource_type, parameter);
        let is_beyond =
            |criterion: &&Criterion| !criterion.chain.types.is_empty() || own(criterion.parameter);
        let criterion = self.criteria.iter().find(is_beyond).map(|criterion| criterion.parameter);
        let sorts = self.sort.iter().any(|key| own(key.parameter)).then_some("_sort");
        let include = self.includes.iter().map(Include::field).find(|field| own(field));
        criterion.or(sorts).or(include).map(ShownName::of)
    }

    /// The types of records on the way to what it is about, each with the parameter that leads over it.
    pub fn ways(&self) -> impl Iterator<Item = (ResourceType, ShownName)> {
        let way = |criterion: &Criterion| ShownName::of(&criterion.field());
        self.criteria
            .iter()
            .flat_map(move |criterion| criterion.chain.types.iter().map(move |own| (*own, way(criterion))))
    }

    /// Whether it is criteria and nothing else, as the condition of a write has to be.
    #[must_use]
    pub fn is_condition(&self) -> bool {
        !self.criteria.is_empty()
            && self.includes.is_empty()
            && self.sort.is_empty()
            && self.count.is_none()
            && self.shape == Shape::Whole
    }

    /// Whether it asks for records to come along with those that it finds.
    #[must_use]
    pub fn brings_along(&self) -> bool {
        !self.includes.is_empty()
    }

    /// The patients whom the search asks for by name. Not a limit: one of them may be one alternative of several.
    #[must_use]
    pub fn patients_named(&self) -> BTreeSet<ResourceId> {
        let own_ids = |criterion: &Criterion| match criterion.values.expose() {
            Values::Ids(ids) if criterion.leads_to(self.resource_type) == ResourceType::PATIENT => {
                ids.clone()
            }
            Values::References(references) => references
                .iter()
                .filter(|reference| reference.resource_type == ResourceType::PATIENT)
                .map(|reference| reference.id.clone())
                .collect(),
            Values::Ids(_) | Values::Text(_) => Vec::new(),
        };
        self.criteria.iter().flat_map(own_ids).collect()
    }

    /// The same search among the records that have one of these values.
    #[must_use]
    pub fn narrowed_to_tokens(mut self, parameter: &'static TokenParameter, values: &[TokenValue]) -> Self {
        let values = Phi::new(Values::Text(list(values)));
        self.criteria.push(Criterion::of(parameter.name(), values));
        self
    }

    /// The same search among the records of these patients, so that others' need not be fetched at all.
    ///
    /// A search is left open where no one parameter finds exactly what belongs to a patient, where the type belongs
    /// to nobody, and for more patients than a form should hold: then pages of what comes back can tell of others.
    #[must_use]
    pub fn narrowed_to_patients(mut self, patients: &BTreeSet<ResourceId>) -> Narrowed {
        let parameter = membership::search_parameter(self.version, self.resource_type);
        let Some(parameter) = parameter.filter(|_| (1..=MAX_NARROWING).contains(&patients.len())) else {
            return Narrowed::Open(self);
        };
        let values = if parameter == "_id" {
            Values::Ids(patients.iter().cloned().collect())
        } else {
            Values::References(patients.iter().map(patient).collect())
        };
        self.criteria.push(Criterion::of(parameter, Phi::new(values)));
        Narrowed::Within(self)
    }

    /// Which elements of what is found are wanted. Whoever answers sees to it; the upstream is asked for whole records.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many records a page may have, if that is asked for.
    #[must_use]
    pub fn count(&self) -> Option<u16> {
        self.count
    }

    /// The same by pages of our own size, of which those that were asked for are cut.
    #[must_use]
    pub fn by_whole_pages(self) -> Self {
        Self { count: Some(at_least(self.count)), ..self }
    }

    /// The search as the client asked it, written anew.
    #[must_use]
    pub fn asked(&self) -> Form {
        let mut form = Self { shape: Shape::Whole, ..self.clone() }.to_form();
        if let Some((name, value)) = self.shape.field() {
            form.push(name, &value);
        }
        form
    }

    /// The search as it goes upstream, written anew.
    #[must_use]
    pub fn to_form(&self) -> Form {
        let mut form = Form::default();
        for criterion in &self.criteria {
            form.push(&criterion.field(), &criterion.values.expose().to_string());
        }
        for include in &self.includes {
            form.push(include.field(), &include.to_string());
        }
        if !self.sort.is_empty() {
            let keys: Vec<_> = self.sort.iter().map(ToString::to_string).collect();
            form.push("_sort", &keys.join(","));
        }
        // The upstream's own count would count what is withheld, so that all are looked at, many at a time.
        let count = if self.shape == Shape::Count { Some(MAX_COUNT) } else { self.count };
        if let Some(count) = count {
            form.push("_count", &count.to_string());
        }
        form
    }

    /// The same for all ways to write the same criteria in another order.
    #[must_use]
    pub fn in_one_order(&self) -> (ResourceType, Vec<String>) {
        let one = |criterion: &Criterion| format!("{}={}", criterion.field(), criterion.values.expose());
        let mut criteria: Vec<String> = self.criteria.iter().map(one).collect();
        criteria.sort_unstable();
        criteria.dedup();
        (self.resource_type, criteria)
    }

    /// The search as a path below a base, and a query.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        self.to_form().behind(&format!("/{}", self.resource_type))
    }

    fn read_shape(&mut self, name: &str, value: &str) -> Result<(), SearchError> {
        if self.shape != Shape::Whole {
            return Err(SearchError::Repeated(ShownName::of(name)));
        }
        let shape = match name {
            "_summary" => Shape::read_summary(value),
            _ => Shape::read_elements(self.version, self.resource_type, value),
        };
        self.shape = shape.ok_or_else(|| SearchError::Value(ShownName::of(name)))?;
        Ok(())
    }

    fn read_include(&mut self, include: Include) -> Result<(), SearchError> {
        if self.includes.len() == MAX_INCLUDES {
            return Err(SearchError::TooMany(ShownName::of(include.field())));
        }
        self.includes.push(include);
        Ok(())
    }

    fn read_sort(&mut self, value: &str) -> Result<(), SearchError> {
        if !self.sort.is_empty() {
            return Err(SearchError::Repeated(ShownName::of("_sort")));
        }
        self.sort = value
            .split(',')
            .map(|key| SortKey::read(self.version, self.resource_type, key))
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

fn patient(id: &ResourceId) -> Reference {
    Reference { resource_type: ResourceType::PATIENT, id: id.clone() }
}

impl Criterion {
    fn of(parameter: &'static str, values: Phi<Values>) -> Self {
        Self { chain: Chain::default(), parameter, modifier: Modifier::None, values }
    }

    /// The type of the records that it is about, in a search of this type.
    fn leads_to(&self, searched: ResourceType) -> ResourceType {
        self.chain.types.last().copied().unwrap_or(searched)
    }

    /// The name of the field.
    fn field(&self) -> String {
        let modifier = match self.modifier {
            Modifier::None => "",
            Modifier::Contains => ":contains",
            Modifier::Exact => ":exact",
        };
        format!("{}{}{modifier}", self.chain.text, self.parameter)
    }

    fn read(
        version: FhirVersion,
        resource_type: ResourceType,
        field: &str,
        value: &str,
    ) -> Result<Self, SearchError> {
        let shown = || ShownName::of(field);
        let (chain, resource_type, own) = Chain::read(version, resource_type, field)?;
        let (name, modifier) = match own.split_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (own, None),
        };
        let (parameter, kind) =
            offered(version, resource_type, name).ok_or_else(|| SearchError::Parameter(shown()))?;
        let modifier = match (modifier, kind) {
            (None, _) => Modifier::None,
            (Some("exact"), Some(Kind::String)) => Modifier::Exact,
            (Some("contains"), Some(Kind::String)) => Modifier::Contains,
            (Some(_), _) => return Err(SearchError::Modifier(shown())),
        };
        let values = match kind {
            Some(kind) => Values::read(kind, value),
            None => Values::read_ids(value),
        };
        let values = Phi::new(values.ok_or_else(|| SearchError::Value(shown()))?);
        Ok(Self { chain, parameter, modifier, values })
    }
}

/// A parameter that a type can be searched by, and its kind; `_id` has one of its own.
fn offered(
    version: FhirVersion,
    resource_type: ResourceType,
    name: &str,
) -> Option<(&'static str, Option<&'static Kind>)> {
    match name {
        "_id" => Some(("_id", None)),
        "_lastUpdated" => Some(("_lastUpdated", Some(&Kind::Date))),
        _ => parameters::parameter(version, resource_type.as_str(), name)
            .map(|own| (own.name, Some(&own.kind))),
    }
}

impl SortKey {
    fn read(version: FhirVersion, resource_type: ResourceType, key: &str) -> Result<Self, SearchError> {
        let (order, name) = match key.strip_prefix('-') {
            Some(name) => (Order::Descending, name),
            None => (Order::Ascending, key),
        };
        match offered(version, resource_type, name) {
            None | Some((_, Some(Kind::Reference(_)))) => Err(SearchError::Value(ShownName::of("_sort"))),
            Some((parameter, _)) => Ok(Self { parameter, order }),
        }
    }
}

impl fmt::Display for SortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.order {
            Order::Ascending => f.write_str(self.parameter),
            Order::Descending => write!(f, "-{}", self.parameter),
        }
    }
}

/// The size of a page, which is asked for once.
pub(super) fn read_count(there: Option<u16>, value: &str) -> Result<u16, SearchError> {
    let fault = || SearchError::Value(ShownName::of("_count"));
    if there.is_some() {
        return Err(SearchError::Repeated(ShownName::of("_count")));
    }
    if !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(fault());
    }
    value.parse().ok().filter(|count| (1..=MAX_COUNT).contains(count)).ok_or_else(fault)
}

/// A moment or day that is asked for once, and that nothing is compared with.
pub(super) fn read_date(there: Option<&String>, name: &str, value: &str) -> Result<String, SearchError> {
    match there {
        Some(_) => Err(SearchError::Repeated(ShownName::of(name))),
        None if is_date(value) && value.starts_with(|c: char| c.is_ascii_digit()) => Ok(value.to_owned()),
        None => Err(SearchError::Value(ShownName::of(name))),
    }
}

/// A field's name without its modifier or chain.
fn bare_name(field: &str) -> &str {
    field.split([':', '.']).next().unwrap_or(field)
}

/// The largest page that can be asked for.
const MAX_COUNT: u16 = 1000;

/// The most parameters that bring records along.
const MAX_INCLUDES: usize = 16;

/// The most patients to whom a search is narrowed.
const MAX_NARROWING: usize = 1000;

#[cfg(test)]
mod tests;
