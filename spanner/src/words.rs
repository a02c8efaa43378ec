//! Words for people: the recovery key on paper, and the six words that two screens compare.
//!
//! Both use the English list of BIP 39, 2,048 words of which no two begin with the same four letters.

use bip39::{Language, Mnemonic};
use vigo_base::text::{escaped, nearest};
use vigo_base::{Hash, PublicKey};
use zeroize::{Zeroize, Zeroizing};

/// Words of a recovery key.
pub const RECOVERY_WORDS: usize = 24;

/// Why words are no recovery key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWords {
    /// Too few or too many.
    #[error("a recovery key has {RECOVERY_WORDS} words, found {found}")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// One is not on the list.
    #[error("word {place} of {RECOVERY_WORDS}, {found:?}, is not on the list{}", maybe(.nearest))]
    Unknown {
        /// Which one, counted from 1.
        place: usize,
        /// What stands there, escaped and cut to 40 characters.
        found: String,
        /// The nearest word of the list.
        nearest: Option<&'static str>,
    },
    /// All are on the list, and they do not fit together.
    #[error(
        "the words are all on the list but do not fit together: two are swapped, or one stands for another; compare each with the paper"
    )]
    Checksum,
}

fn maybe(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |word| format!("; did you mean {word}?"))
}

/// The 24 words of a key's seed, one space between them.
pub fn to_words(seed: &[u8; 32]) -> Zeroizing<String> {
    match Mnemonic::from_entropy_in(Language::English, seed) {
        Ok(mnemonic) => Zeroizing::new(mnemonic.words().collect::<Vec<_>>().join(" ")),
        // 32 bytes are one of the five lengths that BIP 39 allows.
        Err(_) => unreachable!("32 bytes always have words"),
    }
}

/// The seed that 24 words stand for. Capitals, numbers before the words, and spacing do not matter.
///
/// # Errors
/// [`BadWords`], which never shows more than one word.
pub fn from_words(text: &str) -> Result<Zeroizing<[u8; 32]>, BadWords> {
    let list = Language::English.word_list();
    let mut words = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c == ',') {
        let bare = word.trim_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')' | ':'));
        if !bare.is_empty() {
            words.push(Zeroizing::new(bare.to_lowercase()));
        }
    }
    for (i, word) in words.iter().enumerate() {
        if list.binary_search(&word.as_str()).is_err() {
            let found = escaped(word).chars().take(40).collect();
            let nearest = nearest(word, list.iter().copied());
            return Err(BadWords::Unknown { place: i + 1, found, nearest });
        }
    }
    if words.len() != RECOVERY_WORDS {
        return Err(BadWords::Count { found: words.len() });
    }
    let line = Zeroizing::new(words.iter().map(|w| w.as_str()).collect::<Vec<_>>().join(" "));
    let mnemonic = Mnemonic::parse_in_normalized(Language::English, &line).map_err(|_| BadWords::Checksum)?;
    let (mut entropy, length) = mnemonic.to_entropy_array();
    let mut seed = Zeroizing::new([0; 32]);
    let fits = length == 32;
    seed.copy_from_slice(&entropy[..32]);
    entropy.zeroize();
    if fits { Ok(seed) } else { Err(BadWords::Checksum) }
}

/// The six words that both ends of one TLS connection show: 66 bits from its exporter and both keys, the same
/// whichever end computes them.
pub fn six_words(exporter: &[u8], a: &PublicKey, b: &PublicKey) -> [&'static str; 6] {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    let length = (exporter.len() as u64).to_be_bytes();
    let digest =
        Hash::of_parts(&[b"vigo/six-words\0", &length, exporter, first.as_bytes(), second.as_bytes()]);
    let list = Language::English.word_list();
    let mut bits = u128::from_be_bytes(std::array::from_fn(|i| digest.0[i]));
    std::array::from_fn(|_| {
        let word = list[(bits >> 117) as usize];
        bits <<= 11;
        word
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigo_base::SecretKey;

    #[test]
    fn words_are_those_of_the_published_vectors() {
        // From the vectors of BIP 39 (github.com/trezor/python-mnemonic, vectors.json).
        let zero = to_words(&[0; 32]);
        assert!(zero.starts_with("abandon abandon") && zero.ends_with(" art"));
        let ones = to_words(&[0xff; 32]);
        assert!(ones.starts_with("zoo zoo") && ones.ends_with(" vote"));
        let x80 = to_words(&[0x80; 32]);
        assert_eq!(x80.split(' ').next_back(), Some("bless"));
    }

    #[test]
    fn words_come_back() {
        let seed: [u8; 32] = std::array::from_fn(|i| i as u8 * 7);
        let words = to_words(&seed);
        assert_eq!(words.split(' ').count(), RECOVERY_WORDS);
        assert_eq!(*from_words(&words).unwrap(), seed);
        let numbered: Vec<String> =
            words.split(' ').enumerate().map(|(i, w)| format!("{}. {}\n", i + 1, w.to_uppercase())).collect();
        assert_eq!(*from_words(&numbered.concat()).unwrap(), seed);
    }

    #[test]
    fn a_slip_of_the_pen_is_named() {
        let words = to_words(&[9; 32]);
        let list: Vec<&str> = words.split(' ').collect();
        let wrong = format!("{}x", list[4]);
        let text = words.replacen(list[4], &wrong, 1);
        let place = text.split(' ').position(|w| w == wrong).unwrap() + 1;
        let message = from_words(&text).unwrap_err().to_string();
        let right = list[4];
        let expected = format!("word {place} of 24, {wrong:?}, is not on the list; did you mean {right}?");
        assert_eq!(message, expected);
        assert_eq!(from_words("abandon").unwrap_err().to_string(), "a recovery key has 24 words, found 1");
        let mut swapped: Vec<&str> = words.split(' ').collect();
        let at = (1..24).find(|i| swapped[*i] != swapped[i - 1]).unwrap();
        swapped.swap(at, at - 1);
        assert_eq!(from_words(&swapped.join(" ")), Err(BadWords::Checksum));
    }

    #[test]
    fn six_words_are_the_same_at_both_ends_and_nowhere_else() {
        let (a, b) = (SecretKey::from_seed([1; 32]).public(), SecretKey::from_seed([2; 32]).public());
        let c = SecretKey::from_seed([3; 32]).public();
        let words = six_words(b"exporter", &a, &b);
        assert_eq!(words, six_words(b"exporter", &b, &a));
        assert_ne!(words, six_words(b"exporter", &a, &c), "a relay has another key");
        assert_ne!(words, six_words(b"exportes", &a, &b), "and another connection");
    }
}
