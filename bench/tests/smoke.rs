//! Every bench body runs once, small: so that none of them rots, and the JSON keeps its seven keys.

use std::collections::BTreeSet;

use serde_json::Value;
use vigo_bench::{Figure, Measured, Size, exchange, policy, reconcile, records, table};

const KEYS: [&str; 7] = ["name", "value", "unit", "better", "reference", "ratio", "target"];

/// Runs one bench; gives the names of its figures.
fn runs(bench: &str, figures: fn(Size) -> Measured) -> Vec<String> {
    let figures = figures(Size::Tiny).unwrap();
    assert!(!figures.is_empty(), "{bench} measures nothing");
    figures.iter().for_each(checks);
    let names: Vec<String> = figures.iter().map(|figure| figure.name.clone()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name stands twice: {names:?}");
    assert!(names.iter().all(|name| name.starts_with(&format!("{bench}."))), "{names:?}");
    assert_eq!(table(&figures).lines().count(), figures.len() + 1);
    assert!(figures.iter().any(|figure| figure.reference.is_some()), "{bench} stands beside nothing");
    names
}

/// The schema of targets: seven keys in order, one line, a ratio where there is a reference.
fn checks(figure: &Figure) {
    let line = figure.json();
    let value: Value = serde_json::from_str(&line).unwrap();
    let object = value.as_object().unwrap();
    assert!(!line.contains('\n') && object.len() == KEYS.len(), "{line}");
    let places: Vec<Option<usize>> = KEYS.iter().map(|key| line.find(&format!("\"{key}\":"))).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{line}");
    assert!(["lower", "higher"].contains(&object["better"].as_str().unwrap()), "{line}");
    assert!(object["value"].as_f64().is_some_and(|v| v.is_finite() && v >= 0.0), "{line}");
    for key in ["reference", "ratio", "target"] {
        assert!(object[key].is_null() || object[key].as_f64().is_some_and(f64::is_finite), "{line}");
    }
    assert_eq!(object["ratio"].is_null(), object["reference"].as_f64().is_none_or(|r| r <= 0.0), "{line}");
}

#[test]
fn records_are_measured() {
    let names = runs("records", records::figures);
    assert!(names.contains(&"records.verify_and_insert".into()), "{names:?}");
}

#[test]
fn reconciliation_is_measured_and_its_bytes_repeat() {
    let names = runs("reconcile", reconcile::figures);
    assert!(names.contains(&"reconcile.1000_scattered.200.bytes".into()), "{names:?}");
    let steady = |figures: Vec<Figure>| -> Vec<(String, f64)> {
        let repeats = |f: &Figure| f.unit == "B" || f.unit.is_empty();
        figures.into_iter().filter(repeats).map(|f| (f.name, f.value)).collect()
    };
    let [first, second] = [(), ()].map(|()| steady(reconcile::figures(Size::Tiny).unwrap()));
    assert_eq!(first, second);
}

#[test]
fn the_exchange_is_measured_and_its_virtual_figures_repeat() {
    let names = runs("exchange", exchange::figures);
    assert!(names.contains(&"exchange.8_peers.origin_uploads".into()), "{names:?}");
    let [first, second] = [(), ()].map(|()| exchange::figures(Size::Tiny).unwrap());
    let peers = |figures: &[Figure]| -> Vec<f64> {
        figures.iter().filter(|f| f.name.contains("_peers.")).map(|f| f.value).collect()
    };
    assert_eq!(peers(&first), peers(&second));
}

#[test]
fn policies_are_measured() {
    let names = runs("policy", policy::figures);
    assert!(names.iter().any(|name| name.starts_with("policy.resolve.")), "{names:?}");
}
