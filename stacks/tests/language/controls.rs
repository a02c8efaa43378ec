//! The ids of the catalogues are ids of their frameworks: of a family that exists, and no further than it goes.
//!
//! The tables are facts of the frameworks: how many controls each family or section has. Withdrawn controls keep their
//! numbers. ISO 27001 is in the numbering of 2013, which the reference's `A.12.4.4` is of.

use vigo_stacks::compliance::{Catalogue, bundles, provisions};

/// NIST SP 800-53 r5: families and their last control.
const NIST: [(&str, u16); 20] = [
    ("AC", 25),
    ("AT", 6),
    ("AU", 16),
    ("CA", 9),
    ("CM", 14),
    ("CP", 13),
    ("IA", 13),
    ("IR", 10),
    ("MA", 7),
    ("MP", 8),
    ("PE", 23),
    ("PL", 11),
    ("PM", 32),
    ("PS", 9),
    ("PT", 8),
    ("RA", 10),
    ("SA", 23),
    ("SC", 51),
    ("SI", 23),
    ("SR", 12),
];

/// ISO/IEC 27001:2013, annex A: objectives and how many controls each has, 114 in all.
const ISO: [(u16, u16, u16); 35] = [
    (5, 1, 2),
    (6, 1, 5),
    (6, 2, 2),
    (7, 1, 2),
    (7, 2, 3),
    (7, 3, 1),
    (8, 1, 4),
    (8, 2, 3),
    (8, 3, 3),
    (9, 1, 2),
    (9, 2, 6),
    (9, 3, 1),
    (9, 4, 5),
    (10, 1, 2),
    (11, 1, 6),
    (11, 2, 9),
    (12, 1, 4),
    (12, 2, 1),
    (12, 3, 1),
    (12, 4, 4),
    (12, 5, 1),
    (12, 6, 2),
    (12, 7, 1),
    (13, 1, 3),
    (13, 2, 4),
    (14, 1, 3),
    (14, 2, 9),
    (14, 3, 1),
    (15, 1, 3),
    (15, 2, 2),
    (16, 1, 7),
    (17, 1, 3),
    (17, 2, 1),
    (18, 1, 5),
    (18, 2, 3),
];

/// PCI DSS 4: how many sections each of the twelve requirements has.
const PCI: [u16; 12] = [5, 3, 7, 2, 4, 5, 3, 6, 5, 7, 6, 10];

/// The trust services criteria of 2017: series and how many criteria each has.
const SOC2: [(&str, u16); 20] = [
    ("CC1", 5),
    ("CC2", 3),
    ("CC3", 4),
    ("CC4", 2),
    ("CC5", 3),
    ("CC6", 8),
    ("CC7", 5),
    ("CC8", 1),
    ("CC9", 2),
    ("A1", 3),
    ("C1", 2),
    ("PI1", 5),
    ("P1", 1),
    ("P2", 1),
    ("P3", 2),
    ("P4", 3),
    ("P5", 2),
    ("P6", 7),
    ("P7", 1),
    ("P8", 1),
];

/// The safeguards of 45 CFR 164: section, letter, and how many standards it has; 0 where it is one itself.
const HIPAA: [(&str, &str, u16); 15] = [
    ("308", "a", 8),
    ("308", "b", 3),
    ("310", "a", 2),
    ("310", "b", 0),
    ("310", "c", 0),
    ("310", "d", 2),
    ("312", "a", 2),
    ("312", "b", 0),
    ("312", "c", 2),
    ("312", "d", 0),
    ("312", "e", 2),
    ("314", "a", 2),
    ("314", "b", 2),
    ("316", "a", 0),
    ("316", "b", 2),
];

/// How many sections the chapters of the CIS benchmarks have, in the numbering whose 2.1 is time.
const CIS_UBUNTU: [u16; 6] = [9, 4, 5, 3, 5, 2];
/// See [`CIS_UBUNTU`].
const CIS_RHEL: [u16; 6] = [10, 4, 5, 3, 6, 2];

/// What is wrong with an id.
fn fault(framework: &str, id: &str) -> Option<String> {
    let numbers: Vec<Option<u16>> = id.split('.').map(|part| part.parse().ok()).collect();
    let sound = match framework {
        "nist-800-53" => nist(id),
        "iso-27001" => {
            let part = |i: usize| numbers.get(i).copied().flatten();
            let last =
                ISO.iter().find(|(a, b, _)| (Some(*a), Some(*b)) == (part(1), part(2))).map(|row| row.2);
            id.starts_with("A.")
                && numbers.len() == 4
                && part(3).zip(last).is_some_and(|(n, last)| (1..=last).contains(&n))
        }
        "pci-dss" => sections(&numbers, &PCI, 5),
        "cis-ubuntu" => sections(&numbers, &CIS_UBUNTU, 5),
        "cis-rhel" => sections(&numbers, &CIS_RHEL, 5),
        "soc2" => id.split_once('.').is_some_and(|(series, n)| {
            let last = SOC2.iter().find(|(s, _)| *s == series).map(|row| row.1);
            n.parse::<u16>().ok().zip(last).is_some_and(|(n, last)| (1..=last).contains(&n))
        }),
        "hipaa" => hipaa(id),
        _ => false,
    };
    (!sound).then(|| format!("{framework} has no {id}"))
}

/// `AC-2` or `AC-2(12)`.
fn nist(id: &str) -> bool {
    let Some((family, rest)) = id.split_once('-') else { return false };
    let (number, enhancement) = match rest.split_once('(') {
        None => (rest, Some(1)),
        Some((number, inner)) => (number, inner.strip_suffix(')').and_then(|n| n.parse().ok())),
    };
    let last = NIST.iter().find(|(f, _)| *f == family).map(|row| row.1);
    number.parse::<u16>().ok().zip(last).is_some_and(|(n, last)| (1..=last).contains(&n))
        && enhancement.is_some_and(|n: u16| (1..=50).contains(&n))
}

/// Numbers with dots, of which the first two are a chapter and a section of it.
fn sections(numbers: &[Option<u16>], chapters: &[u16], most: usize) -> bool {
    let whole: Option<Vec<u16>> = numbers.iter().copied().collect();
    let Some(whole) =
        whole.filter(|n| (2..=most).contains(&n.len()) && n.iter().all(|n| (1..=50).contains(n)))
    else {
        return false;
    };
    chapters.get(usize::from(whole[0]) - 1).is_some_and(|last| whole[1] <= *last)
}

/// `164.308(a)(1)(ii)(D)`: letter, number, roman number, letter.
fn hipaa(id: &str) -> bool {
    let Some(rest) = id.strip_prefix("164.") else { return false };
    let mut parts = rest.split('(');
    let section = parts.next().unwrap_or_default();
    let inner: Option<Vec<&str>> = parts.map(|part| part.strip_suffix(')')).collect();
    let Some(inner) = inner.filter(|parts| !parts.is_empty() && parts.len() <= 4) else { return false };
    let Some((_, _, last)) = HIPAA.iter().find(|(s, letter, _)| (*s, *letter) == (section, inner[0])) else {
        return false;
    };
    let number = inner.get(1).is_none_or(|n| n.parse::<u16>().is_ok_and(|n| (1..=*last).contains(&n)));
    let roman = inner.get(2).is_none_or(|r| ["i", "ii", "iii", "iv"].contains(r));
    number && roman && inner.get(3).is_none_or(|l| ["A", "B", "C", "D", "E"].contains(l))
}

/// B15, B16, B18, B19: every id of both catalogues is one of its framework.
#[test]
fn every_control_of_the_catalogues_is_one_of_its_framework() {
    assert_eq!(ISO.iter().map(|row| row.2).sum::<u16>(), 114);
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut look = |catalogue: &Catalogue| {
        for (tag, entry) in &catalogue.entries {
            for (framework, id) in
                entry.controls.iter().flat_map(|(f, ids)| ids.iter().map(move |id| (f, id)))
            {
                count += 1;
                wrong.extend(fault(framework, id).map(|why| format!("{tag}: {why}")));
            }
        }
    };
    look(&provisions());
    look(&bundles());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 1_000, "{count} ids were looked at");
}

/// What looks like an id and is none.
#[test]
fn ids_beyond_a_family_are_none() {
    for (framework, good, bad) in [
        ("nist-800-53", "AC-25", "AC-26"),
        ("nist-800-53", "SR-12(1)", "XX-1"),
        ("nist-800-53", "AU-12(3)", "AU-12(0)"),
        ("iso-27001", "A.12.4.4", "A.12.4.5"),
        ("iso-27001", "A.5.1.1", "A.5.1"),
        ("pci-dss", "12.10.7", "13.1"),
        ("pci-dss", "1.5.1", "1.6.1"),
        ("soc2", "CC9.2", "CC9.3"),
        ("hipaa", "164.308(a)(8)", "164.308(a)(9)"),
        ("hipaa", "164.312(e)(2)(ii)", "164.320(a)"),
        ("cis-ubuntu", "6.2.17", "7.1"),
        ("cis-rhel", "5.6.1.1", "5.7.1"),
    ] {
        assert_eq!(fault(framework, good), None, "{good}");
        assert!(fault(framework, bad).is_some(), "{bad}");
    }
}
