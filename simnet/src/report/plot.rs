//! Plots as SVG text: a curve of times, steps over time, bars.
//!
//! Colours come from the page's style, by class; nothing outside the page is named. Positions are written with one
//! digit behind the point, so that the same figures give the same bytes.

use std::fmt::Write as _;

use vigo_base::time::Micros;

use crate::watch::Course;

/// The drawing in which all plots are made, and the room for words at its edges.
const SIZE: (f64, f64) = (640.0, 220.0);
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// A time for people: three digits and a unit.
pub fn time(micros: Micros) -> String {
    let value = micros as f64;
    let (value, unit) = match micros {
        0 => return "0".into(),
        1..=999 => (value, "µs"),
        1_000..=999_999 => (value / 1e3, "ms"),
        1_000_000..=119_999_999 => (value / 1e6, "s"),
        120_000_000..=7_199_999_999 => (value / 6e7, "min"),
        _ => (value / 3.6e9, "h"),
    };
    let digits = if value >= 100.0 { 0 } else { usize::from(value < 10.0) + 1 };
    let text = format!("{value:.digits$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{short} {unit}")
}

fn open(label: &str) -> String {
    let (w, h) = SIZE;
    format!("<svg viewBox=\"0 0 {w} {h}\" role=\"img\" aria-label=\"{label}\">")
}

fn frame(svg: &mut String) {
    let (x, y) = (SIZE.0 - RIGHT, SIZE.1 - BOTTOM);
    let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{y}H{x}\"/>");
}

fn word(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// How much of all was there within which time; times on a logarithmic axis.
pub(super) fn curve(points: &[(Micros, u64)]) -> String {
    let Some((most, all)) = points.last().copied() else { return String::new() };
    let least = points[0].0.max(1);
    // Whole powers of ten around all of it.
    let (from, to) =
        (10_f64.powf((least as f64).log10().floor()), 10_f64.powf((most.max(2) as f64).log10().ceil()));
    let decades = (to / from).log10().max(1.0);
    let wide = SIZE.0 - LEFT - RIGHT;
    let high = SIZE.1 - TOP - BOTTOM;
    let x = |t: Micros| LEFT + wide * (t.max(1) as f64 / from).log10() / decades;
    let y = |n: u64| TOP + high * (1.0 - n as f64 / all as f64);
    let mut svg = open("How much was delivered within which time");
    for percent in [0_u64, 50, 99, 100] {
        let at = TOP + high * (1.0 - percent as f64 / 100.0);
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/>", SIZE.0 - RIGHT);
        if percent != 99 {
            word(&mut svg, LEFT - 6.0, at + 4.0, "end", &format!("{percent}%"));
        }
    }
    for decade in 0..=decades as u32 {
        let t = (from * 10_f64.powi(decade as i32)).round() as Micros;
        let _ = write!(svg, "<path class=\"grid\" d=\"M{:.1} {TOP}V{:.1}\"/>", x(t), SIZE.1 - BOTTOM);
        let anchor = if decade == decades as u32 { "end" } else { "middle" };
        word(&mut svg, x(t), SIZE.1 - 10.0, anchor, &time(t));
    }
    frame(&mut svg);
    let mut path = format!("M{:.1} {:.1}", x(points[0].0), y(0));
    let mut last = (f64::MIN, f64::MIN);
    for (t, n) in points {
        let at = (x(*t), y(*n));
        // What is too near to be seen is left out, but for the last.
        if (at.0 - last.0).abs() + (at.1 - last.1).abs() >= 0.8 || *n == all {
            let _ = write!(path, "H{:.1}V{:.1}", at.0, at.1);
            last = at;
        }
    }
    let _ = write!(svg, "<path class=\"line a\" d=\"{path}\"/></svg>");
    svg
}

/// How many nodes were on, agreed and were current over time, with what happened.
pub(super) fn timeline(course: &Course) -> String {
    let Some(last) = course.points.last() else { return String::new() };
    let end = course.marks.last().map_or(0, |mark| mark.0).max(last.at).max(1);
    let most = course.points.iter().map(|p| p.nodes).max().unwrap_or(1).max(1);
    let wide = SIZE.0 - LEFT - RIGHT;
    let high = SIZE.1 - TOP - BOTTOM;
    let x = |t: Micros| LEFT + wide * t as f64 / end as f64;
    let y = |n: usize| TOP + high * (1.0 - n as f64 / most as f64);
    let mut svg = open("Nodes that are on, agree and are current over time, and what happened");
    for n in [0, most / 2, most] {
        let _ = write!(svg, "<path class=\"grid\" d=\"M{LEFT} {:.1}H{:.1}\"/>", y(n), SIZE.0 - RIGHT);
        word(&mut svg, LEFT - 6.0, y(n) + 4.0, "end", &n.to_string());
    }
    for part in 0..=4_u64 {
        let t = end / 4 * part;
        word(&mut svg, x(t), SIZE.1 - 10.0, if part == 4 { "end" } else { "middle" }, &time(t));
    }
    for (at, what) in &course.marks {
        let (at, what) = (x(*at), super::page::text(what));
        let _ = write!(
            svg,
            "<path class=\"mark\" d=\"M{at:.1} {TOP}V{:.1}\"><title>{what}</title></path>",
            SIZE.1 - BOTTOM
        );
    }
    frame(&mut svg);
    type Of = fn(&crate::watch::Seen) -> usize;
    let lines: [(&str, Of); 3] = [("c", |p| p.on), ("b", |p| p.agree), ("a", |p| p.current)];
    for (class, of) in lines {
        let (mut path, mut before) = (String::new(), None);
        for (n, point) in course.points.iter().enumerate() {
            let (at, value) = (x(point.at), of(point));
            // What stays as it is needs no corner.
            let corner = before != Some(value) || n + 1 == course.points.len();
            let _ = match n {
                0 => write!(path, "M{at:.1} {:.1}", y(value)),
                _ if corner => write!(path, "H{at:.1}V{:.1}", y(value)),
                _ => Ok(()),
            };
            before = Some(value);
        }
        let _ = write!(svg, "<path class=\"line {class}\" d=\"{path}\"/>");
    }
    svg + "</svg>"
}

/// Bars, the longest over the whole width: their names, their lengths, and what stands behind them.
pub(super) fn bars(rows: &[(&str, f64, String)]) -> String {
    let most = rows.iter().map(|row| row.1).fold(0.0, f64::max);
    let (high, left) = (26.0, 120.0);
    let wide = SIZE.0 - left - 110.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Bytes by plane\">",
        SIZE.0,
        high * rows.len() as f64
    );
    for (n, (name, value, text)) in rows.iter().enumerate() {
        let y = high * n as f64;
        let long = if most > 0.0 { wide * value / most } else { 0.0 };
        word(&mut svg, left - 8.0, y + 17.0, "end", name);
        let _ = write!(
            svg,
            "<rect class=\"bar\" x=\"{left}\" y=\"{:.1}\" width=\"{long:.1}\" height=\"16\" rx=\"2\"/>",
            y + 4.0
        );
        word(&mut svg, left + long + 6.0, y + 17.0, "start", text);
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let told: Vec<String> =
            [0, 7, 1_000, 12_345, 1_500_000, 600_000_000, 36_000_000_000].map(time).into();
        assert_eq!(told, ["0", "7 µs", "1 ms", "12.3 ms", "1.5 s", "10 min", "10 h"]);
    }

    #[test]
    fn a_curve_ends_at_the_top_whatever_it_holds() {
        for points in
            [vec![(1, 1)], vec![(5, 1), (5_000_000, 9)], vec![(0, 3)], vec![(1_000, 2), (1_000_000, 4)]]
        {
            let svg = curve(&points);
            assert!(svg.contains(&format!("V{TOP:.1}\"")), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert_eq!(curve(&[]), "");
    }
}
