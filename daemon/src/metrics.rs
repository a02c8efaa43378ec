//! Counters, gauges and histograms, shown in the Prometheus text format (version 0.0.4).
//!
//! A [`Registry`] is a value that is handed around, never a global. A metric is a handle that costs an atomic
//! addition; only [`Registry::render`] takes a lock for long. It serves nothing itself: the local API does.
//!
//! Invariant: what is rendered is well-formed whatever the label values are, and a family never has more than
//! [`SERIES`] series, so that values from peers cannot fill the memory.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The `Content-Type` of what [`Registry::render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What every name begins with.
const PREFIX: &str = "vigo_";
/// Series of one family; one more is refused.
pub const SERIES: usize = 1024;

/// All metrics of one node. Clones are the same registry.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<String, Family>>>,
}

/// A count that only rises.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A value that goes up and down.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// How often values fell under each of some bounds.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

/// A metric that cannot be registered: a mistake of the program that asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMetric {
    /// The name, or a label's, is not of the form `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("{name:?} is no name for a metric or a label: letters, digits and _ are")]
    Name {
        /// What was found.
        name: String,
    },
    /// The name already stands for another kind of metric, or for other bounds.
    #[error("{name} is registered already, as a {kind}")]
    Conflict {
        /// The name.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The family is full.
    #[error("{name} has {SERIES} series already: too many values of its labels")]
    Full {
        /// The name.
        name: String,
    },
    /// A histogram's bounds are not finite and rising.
    #[error("the bounds of {name} do not rise")]
    Bounds {
        /// The name.
        name: String,
    },
}

#[derive(Debug)]
struct Family {
    help: String,
    kind: &'static str,
    /// By labels as they are rendered, without braces.
    series: BTreeMap<String, Series>,
}

#[derive(Debug, Clone)]
enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

#[derive(Debug)]
struct Buckets {
    bounds: Vec<f64>,
    /// One for each bound and one for all above.
    counts: Vec<AtomicU64>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl Registry {
    /// The counter of this name (shown with `vigo_` before it) and these labels, made if need be. By custom its
    /// name ends in `_total`.
    ///
    /// # Errors
    /// [`BadMetric`].
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Counter, BadMetric> {
        match self.series(name, help, labels, Series::Counter(Counter::default()))? {
            Series::Counter(counter) => Ok(counter),
            other => Err(conflict(name, other.kind())),
        }
    }

    /// The gauge of this name and these labels, made if need be.
    ///
    /// # Errors
    /// [`BadMetric`].
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Gauge, BadMetric> {
        match self.series(name, help, labels, Series::Gauge(Gauge::default()))? {
            Series::Gauge(gauge) => Ok(gauge),
            other => Err(conflict(name, other.kind())),
        }
    }

    /// The histogram of this name, these labels and these upper bounds, made if need be.
    ///
    /// # Errors
    /// [`BadMetric`].
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
    ) -> Result<Histogram, BadMetric> {
        if !bounds.is_sorted_by(|a, b| a < b) || bounds.iter().any(|b| !b.is_finite()) {
            return Err(BadMetric::Bounds { name: name.to_owned() });
        }
        match self.series(name, help, labels, Series::Histogram(Histogram::new(bounds)))? {
            Series::Histogram(histogram) if histogram.0.bounds == bounds => Ok(histogram),
            other => Err(conflict(name, other.kind())),
        }
    }

    /// Everything, as a scrape sees it.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, family) in &*self.lock() {
            let name = format!("{PREFIX}{name}");
            let _ = writeln!(out, "# HELP {name} {}", escaped(&family.help, false));
            let _ = writeln!(out, "# TYPE {name} {}", family.kind);
            for (labels, series) in &family.series {
                series.render(&name, labels, &mut out);
            }
        }
        out
    }

    fn series(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        new: Series,
    ) -> Result<Series, BadMetric> {
        let kind = new.kind();
        for word in std::iter::once(name).chain(labels.iter().map(|(label, _)| *label)) {
            if !is_name(word) || (word == "le" && kind == "histogram") {
                return Err(BadMetric::Name { name: word.to_owned() });
            }
        }
        let mut families = self.lock();
        let family = families.entry(name.to_owned()).or_insert_with(|| Family {
            help: help.to_owned(),
            kind,
            series: BTreeMap::new(),
        });
        if family.kind != kind {
            return Err(conflict(name, family.kind));
        }
        let labels = rendered(labels);
        if family.series.len() >= SERIES && !family.series.contains_key(&labels) {
            return Err(BadMetric::Full { name: name.to_owned() });
        }
        Ok(family.series.entry(labels).or_insert(new).clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes over a count that is kept elsewhere; it must only rise.
    pub fn follow(&self, count: u64) {
        self.0.fetch_max(count, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Histogram {
    fn new(bounds: &[f64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram(Arc::new(Buckets { bounds: bounds.to_vec(), counts, sum: AtomicU64::new(0) }))
    }

    /// Counts one value. What is not a number is not counted.
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let bucket = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let _ = self.0.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

impl Series {
    fn kind(&self) -> &'static str {
        match self {
            Series::Counter(_) => "counter",
            Series::Gauge(_) => "gauge",
            Series::Histogram(_) => "histogram",
        }
    }

    fn render(&self, name: &str, labels: &str, out: &mut String) {
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = match self {
            Series::Counter(counter) => writeln!(out, "{name}{braced} {}", counter.get()),
            Series::Gauge(gauge) => writeln!(out, "{name}{braced} {}", number(gauge.get())),
            Series::Histogram(histogram) => return histogram.0.render(name, labels, &braced, out),
        };
    }
}

impl Buckets {
    fn render(&self, name: &str, labels: &str, braced: &str, out: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (bound, count) in self.bounds.iter().chain([&f64::INFINITY]).zip(&self.counts) {
            below += count.load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{}\"}} {below}", number(*bound));
        }
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        let _ = writeln!(out, "{name}_sum{braced} {}", number(sum));
        let _ = writeln!(out, "{name}_count{braced} {below}");
    }
}

fn conflict(name: &str, kind: &'static str) -> BadMetric {
    BadMetric::Conflict { name: name.to_owned(), kind }
}

fn is_name(word: &str) -> bool {
    let mut bytes = word.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Labels as they stand between the braces, in the order of their names.
fn rendered(labels: &[(&str, &str)]) -> String {
    let sorted: BTreeMap<_, _> = labels.iter().copied().collect();
    let pairs: Vec<_> =
        sorted.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true))).collect();
    pairs.join(",")
}

/// Backslashes and line ends escaped, and quotes too in a label's value.
fn escaped(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out
}

/// A number as Prometheus reads it.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value if value.is_nan() => "NaN".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_in_order_and_whole() {
        let registry = Registry::default();
        registry.gauge("peers", "Peers that are up.", &[]).unwrap().set(3.5);
        let sent = registry.counter("frames_total", "Frames.\nBoth ways.", &[("way", "out")]).unwrap();
        sent.add(2);
        registry.counter("frames_total", "", &[("way", "out")]).unwrap().inc();
        registry.counter("frames_total", "", &[("way", "in")]).unwrap();
        let took = registry.histogram("run_seconds", "Runs.", &[("kind", "full")], &[0.5, 1.0]).unwrap();
        [0.5, 0.75, 7.0, f64::NAN].into_iter().for_each(|v| took.observe(v));
        let expected = r#"# HELP vigo_frames_total Frames.\nBoth ways.
# TYPE vigo_frames_total counter
vigo_frames_total{way="in"} 0
vigo_frames_total{way="out"} 3
# HELP vigo_peers Peers that are up.
# TYPE vigo_peers gauge
vigo_peers 3.5
# HELP vigo_run_seconds Runs.
# TYPE vigo_run_seconds histogram
vigo_run_seconds_bucket{kind="full",le="0.5"} 1
vigo_run_seconds_bucket{kind="full",le="1"} 2
vigo_run_seconds_bucket{kind="full",le="+Inf"} 3
vigo_run_seconds_sum{kind="full"} 8.25
vigo_run_seconds_count{kind="full"} 3
"#;
        assert_eq!(registry.render(), expected);
    }

    #[test]
    fn a_label_value_cannot_break_out() {
        let registry = Registry::default();
        let evil = "a\"} 1\nvigo_forged 2 \\";
        registry.counter("c_total", "c", &[("peer", evil)]).unwrap();
        let last = registry.render().lines().last().unwrap().to_owned();
        assert_eq!(last, r#"vigo_c_total{peer="a\"} 1\nvigo_forged 2 \\"} 0"#);
    }

    #[test]
    fn mistakes_are_refused() {
        let registry = Registry::default();
        registry.counter("a", "", &[]).unwrap();
        let conflict = BadMetric::Conflict { name: "a".into(), kind: "counter" };
        assert_eq!(registry.gauge("a", "", &[]).unwrap_err(), conflict);
        for name in ["", "1a", "a-b", "ä"] {
            assert!(matches!(registry.counter(name, "", &[]), Err(BadMetric::Name { .. })), "{name}");
            assert!(matches!(registry.counter("b", "", &[(name, "")]), Err(BadMetric::Name { .. })));
        }
        assert!(matches!(registry.histogram("h", "", &[], &[1.0, 1.0]), Err(BadMetric::Bounds { .. })));
        registry.histogram("h", "", &[], &[1.0]).unwrap();
        assert!(matches!(registry.histogram("h", "", &[], &[2.0]), Err(BadMetric::Conflict { .. })));
    }

    #[test]
    fn a_family_does_not_grow_without_end() {
        let registry = Registry::default();
        for i in 0..SERIES {
            registry.counter("c_total", "", &[("peer", &i.to_string())]).unwrap();
        }
        let one_more = registry.counter("c_total", "", &[("peer", "one more")]);
        assert!(matches!(one_more, Err(BadMetric::Full { .. })));
        assert!(registry.counter("c_total", "", &[("peer", "7")]).is_ok(), "known ones are given out");
    }
}
