//! Text for people: what came from outside is shown escaped, and a wrong name comes with the nearest right one.

/// `text` with control characters, bidirectional overrides and the like made visible (`\u{1b}`), so that
/// no name from a peer or a file can move a terminal's cursor or forge a log line.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || hidden {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The candidate nearest to `found` by Damerau–Levenshtein distance, if one is near enough to be meant:
/// at most a third of its letters differ.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&found, &c.to_ascii_lowercase()), c))
        .filter(|(distance, c)| *distance * 3 <= c.chars().count().max(found.chars().count()).max(3))
        .min()
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(escaped("a\u{1b}[2J\nb\u{202e}"), "a\\u{1b}[2J\\nb\\u{202e}");
        assert_eq!(escaped("grün"), "grün");
    }

    #[test]
    fn the_nearest_name_is_near() {
        let keys = ["name", "vars", "resources", "depends_on"];
        assert_eq!(nearest("resource", keys), Some("resources"));
        assert_eq!(nearest("depend_on", keys), Some("depends_on"));
        assert_eq!(nearest("colour", keys), None);
    }
}
