//! All that there is of a patient. HL7 FHIR 4.0.1, patient-operation-everything.html.

use super::name::ResourceType;
use super::paging::at_least;
use super::search::{SearchError, ShownName, read_count, read_date};
use super::version::FhirVersion;
use crate::form::Form;

/// Which part of it is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EverythingQuery {
    count: Option<u16>,
    start: Option<String>,
    end: Option<String>,
    since: Option<String>,
    types: Vec<ResourceType>,
}

impl EverythingQuery {
    /// Reads the query. `_format` is somebody else's.
    ///
    /// # Errors
    /// [`SearchError`], by the first parameter that is refused.
    pub fn parse(version: FhirVersion, query: &Form) -> Result<Self, SearchError> {
        let mut asked = Self::default();
        for (name, value) in query.iter() {
            let shown = || ShownName::of(name);
            match name {
                "_format" => {}
                "_count" => asked.count = Some(read_count(asked.count, value)?),
                "start" => asked.start = Some(read_date(asked.start.as_ref(), name, value)?),
                "end" => asked.end = Some(read_date(asked.end.as_ref(), name, value)?),
                "_since" => asked.since = Some(read_date(asked.since.as_ref(), name, value)?),
                "_type" if asked.types.is_empty() => {
                    let types = value
                        .split(',')
                        .map(|name| ResourceType::of(version, name))
                        .collect::<Result<_, _>>();
                    asked.types = types.map_err(|_| SearchError::Value(shown()))?;
                }
                "_type" => return Err(SearchError::Repeated(shown())),
                _ => return Err(SearchError::Parameter(shown())),
            }
        }
        Ok(asked)
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

    /// The parameter by which it asks when something was, if it does.
    #[must_use]
    pub fn asks_when(&self) -> Option<ShownName> {
        let named = [("start", &self.start), ("end", &self.end), ("_since", &self.since)];
        named.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| ShownName::of(name))
    }

    /// The query written anew.
    #[must_use]
    pub fn to_form(&self) -> Form {
        let mut form = Form::default();
        let count = self.count.map(|count| count.to_string());
        let fields =
            [("start", &self.start), ("end", &self.end), ("_since", &self.since), ("_count", &count)];
        for (name, value) in fields {
            if let Some(value) = value {
                form.push(name, value);
            }
        }
        if !self.types.is_empty() {
            let types: Vec<_> = self.types.iter().map(|one| one.as_str()).collect();
            form.push("_type", &types.join(","));
        }
        form
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, SearchError> {
        EverythingQuery::parse(FhirVersion::R4, &Form::parse_repeating(text).unwrap())
            .map(|query| query.to_form().encode())
    }

    #[test]
    fn a_query_goes_upstream_as_it_was_read() {
        assert_eq!(read("").as_deref(), Ok(""));
        let all =
            "start=2020-01-01&end=2021&_since=2020-01-01T00%3A00%3A00Z&_count=50&_type=Patient%2CObservation";
        assert_eq!(read(all).as_deref(), Ok(all));
        assert_eq!(read("_format=json&_count=5").as_deref(), Ok("_count=5"));
    }

    #[test]
    fn whole_pages_are_of_fifty_or_more_also_where_no_number_is_asked_for() {
        for (asked, sent) in [("", 50), ("_count=1", 50), ("_count=51", 51)] {
            let form = Form::parse_repeating(asked).unwrap();
            let expected = format!("_count={sent}");
            let everything = EverythingQuery::parse(FhirVersion::R4, &form).unwrap().by_whole_pages();
            assert_eq!(everything.to_form().encode(), expected, "{asked}");
            let history = crate::fhir::history::HistoryQuery::parse(&form).unwrap().by_whole_pages();
            assert_eq!(history.to_form().encode(), expected, "{asked}");
            let of = "Observation".parse().unwrap();
            let search =
                crate::fhir::search::SearchQuery::parse(FhirVersion::R4, of, &form, &Form::default());
            assert_eq!(search.unwrap().by_whole_pages().to_form().encode(), expected, "{asked}");
        }
    }

    #[test]
    fn what_is_no_part_of_it_is_refused() {
        for text in ["_typeFilter=Observation%3Fcode%3Dx", "patient=other", "_include=*", "code=x"] {
            assert!(matches!(read(text), Err(SearchError::Parameter(_))), "{text}");
        }
        for text in ["start=x", "start=ge2020", "_count=0", "_type=Nonsense", "_type=", "_type=Patient%2C"] {
            assert!(matches!(read(text), Err(SearchError::Value(_))), "{text}");
        }
        for text in ["start=2020&start=2021", "_type=Patient&_type=Patient"] {
            assert!(matches!(read(text), Err(SearchError::Repeated(_))), "{text}");
        }
    }
}
