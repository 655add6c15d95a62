//! How many requests were answered, what they were for, how they ended, and how long it took until the head of the answer was
//! ready. Two counters are raised for each: no lock is taken, and nothing that a caller says comes in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::pep::Behind;

/// All since the start.
#[derive(Default)]
pub(crate) struct Requests {
    fhir: Answered,
    http: Answered,
    own: Answered,
}

/// Of one kind.
#[derive(Default)]
struct Answered {
    /// By the class of the status, and by the first bound that they kept.
    counts: [[AtomicU64; BOUNDS.len() + 1]; CLASSES.len()],
    micros: AtomicU64,
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// In microseconds, and as Prometheus has them.
const BOUNDS: [(u64, &str); 13] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (5_000_000, "5"),
];

impl Requests {
    /// One was answered.
    pub(super) fn count(&self, behind: Behind, status: StatusCode, took: Duration) {
        let of = match behind {
            Behind::Fhir => &self.fhir,
            Behind::Http => &self.http,
            Behind::Nothing => &self.own,
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        let bucket = BOUNDS.iter().take_while(|(bound, _)| micros > *bound).count();
        if let Some(count) = of.counts.get(class).and_then(|of_class| of_class.get(bucket)) {
            count.fetch_add(1, Ordering::Relaxed);
            of.micros.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// As Prometheus reads them.
    pub(crate) fn metrics(&self) -> String {
        let kinds = [("fhir", self.fhir.read()), ("http", self.http.read()), ("own", self.own.read())];
        let mut text = String::from(
            "# HELP chartgate_requests_total Requests that were answered: at FHIR routes, at http routes and at our own \
             endpoints, by the class of the status.\n\
             # TYPE chartgate_requests_total counter\n",
        );
        for (kind, read) in &kinds {
            for (class, count) in CLASSES.iter().zip(read.by_class) {
                text.push_str(&format!(
                    "chartgate_requests_total{{kind=\"{kind}\",status=\"{class}\"}} {count}\n"
                ));
            }
        }
        text.push_str(
            "# HELP chartgate_request_duration_seconds How long it took until the head of the answer was ready.\n\
             # TYPE chartgate_request_duration_seconds histogram\n",
        );
        const NAME: &str = "chartgate_request_duration_seconds";
        for (kind, read) in &kinds {
            for ((_, bound), count) in BOUNDS.iter().zip(read.up_to) {
                text.push_str(&format!("{NAME}_bucket{{kind=\"{kind}\",le=\"{bound}\"}} {count}\n"));
            }
            let (all, seconds) = (read.all, Duration::from_micros(read.micros).as_secs_f64());
            text.push_str(&format!(
                "{NAME}_bucket{{kind=\"{kind}\",le=\"+Inf\"}} {all}\n{NAME}_sum{{kind=\"{kind}\"}} {seconds}\n\
                 {NAME}_count{{kind=\"{kind}\"}} {all}\n"
            ));
        }
        text
    }
}

/// The counters of one kind at one moment.
struct Read {
    by_class: [u64; CLASSES.len()],
    /// How many kept each bound.
    up_to: [u64; BOUNDS.len()],
    all: u64,
    micros: u64,
}

impl Answered {
    /// Each counter once, so that what is told of them fits together.
    fn read(&self) -> Read {
        let counts =
            self.counts.each_ref().map(|of_class| of_class.each_ref().map(|one| one.load(Ordering::Relaxed)));
        let by_class =
            counts.map(|of_class| of_class.iter().fold(0, |sum: u64, one| sum.saturating_add(*one)));
        let of_bucket = |bucket: usize| {
            let of_all = counts.iter().filter_map(|of_class| of_class.get(bucket));
            of_all.fold(0, |sum: u64, one| sum.saturating_add(*one))
        };
        let (mut sum, mut up_to) = (0_u64, [0; BOUNDS.len()]);
        for (bucket, kept) in up_to.iter_mut().enumerate() {
            sum = sum.saturating_add(of_bucket(bucket));
            *kept = sum;
        }
        let all = sum.saturating_add(of_bucket(BOUNDS.len()));
        Read { by_class, up_to, all, micros: self.micros.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_counted_once_where_it_belongs() {
        let requests = Requests::default();
        let micros = Duration::from_micros;
        requests.count(Behind::Fhir, StatusCode::OK, micros(100));
        requests.count(Behind::Fhir, StatusCode::OK, micros(101));
        requests.count(Behind::Fhir, StatusCode::NOT_FOUND, micros(5_000_001));
        requests.count(Behind::Nothing, StatusCode::SEE_OTHER, Duration::MAX);
        let text = requests.metrics();
        for line in [
            "chartgate_requests_total{kind=\"fhir\",status=\"2xx\"} 2",
            "chartgate_requests_total{kind=\"fhir\",status=\"4xx\"} 1",
            "chartgate_requests_total{kind=\"fhir\",status=\"5xx\"} 0",
            "chartgate_requests_total{kind=\"own\",status=\"3xx\"} 1",
            "chartgate_requests_total{kind=\"http\",status=\"2xx\"} 0",
            "chartgate_request_duration_seconds_bucket{kind=\"fhir\",le=\"0.0001\"} 1",
            "chartgate_request_duration_seconds_bucket{kind=\"fhir\",le=\"0.00025\"} 2",
            "chartgate_request_duration_seconds_bucket{kind=\"fhir\",le=\"5\"} 2",
            "chartgate_request_duration_seconds_bucket{kind=\"fhir\",le=\"+Inf\"} 3",
            "chartgate_request_duration_seconds_sum{kind=\"fhir\"} 5.000202",
            "chartgate_request_duration_seconds_count{kind=\"fhir\"} 3",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }

    #[test]
    fn bounds_are_in_order_and_written_as_they_are() {
        assert!(BOUNDS.is_sorted());
        for (micros, text) in BOUNDS {
            assert_eq!(text.parse::<f64>().unwrap(), Duration::from_micros(micros).as_secs_f64());
        }
    }
}
