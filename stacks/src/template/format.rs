//! Formats of `printf`: how many characters one verb may ask for.
//!
//! Only widths and precisions are looked at; what a verb means is the template engine's. Invariant: a format that passes
//! makes nobody write more than [`MOST`] characters beyond the value, and never a count that the standard library
//! refuses (gotmpl 0.6.1 hands on 65,535, and with a digit before the point that is one too many: a panic).

/// The largest width and precision.
pub(super) const MOST: usize = 1_000;

/// Refuses a width or a precision above [`MOST`], and a precision that an argument gives.
pub(super) fn check(format: &str) -> Result<(), String> {
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            continue;
        }
        while rest.next_if(|c| "+-# 0".contains(*c)).is_some() {}
        if !skip_index(&mut rest) {
            continue;
        }
        bounded(&mut rest, "width", format)?;
        if rest.next_if_eq(&'.').is_some() {
            bounded(&mut rest, "precision", format)?;
        }
        if skip_index(&mut rest) {
            // The verb, which may be another per cent sign.
            rest.next();
        }
    }
    Ok(())
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `[2]`, which argument is meant. False for one that is not whole: then all that follows is looked at, whatever the
/// engine skips.
fn skip_index(rest: &mut Chars<'_>) -> bool {
    if rest.next_if_eq(&'[').is_none() {
        return true;
    }
    while rest.next_if(char::is_ascii_digit).is_some() {}
    rest.next_if_eq(&']').is_some()
}

fn bounded(rest: &mut Chars<'_>, what: &str, format: &str) -> Result<(), String> {
    if rest.next_if_eq(&'*').is_some() {
        return Err(format!(
            "the format {format:?} takes a {what} from an argument; write the number into the format, at most {MOST}"
        ));
    }
    let mut number = 0_usize;
    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
        rest.next();
        number = number.saturating_mul(10).saturating_add(digit as usize);
    }
    match number > MOST {
        true => {
            Err(format!("the format {format:?} asks for a {what} of {number}, at most {MOST} is allowed"))
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_asks_for_too_much_is_refused() {
        for fine in ["%s", "%05d|%s", "%-8.3f%%", "%[2]d %[1]d", "%", "%1000s", "é%.2é"] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for (format, why) in [
            ("%.65535e", "a precision of 65535"),
            ("%1001s", "a width of 1001"),
            ("%+.99999999999999999999999g", "a precision of 18446744073709551615"),
            ("%s %[1]2000d", "a width of 2000"),
            ("%*d", "takes a width from an argument"),
            ("%.*f", "takes a precision from an argument"),
            ("%5.1001f", "a precision of 1001"),
            ("%[1 %[x%.65535e", "a precision of 65535"),
        ] {
            let refused = check(format).expect_err(format);
            assert!(refused.contains(why), "{format}: {refused}");
        }
    }
}
