//! Numbers as people read them: grouped digits, prefixes, durations.

/// What stands where there is no number.
pub const MISSING: &str = "-";

/// A difference with its sign: "+0.0446", "-0.0446", "0.0000".
#[must_use]
pub fn signed(value: f64) -> String {
    let text = format!("{value:+.4}");
    // A rounded zero has no sign worth showing.
    if text[1..].bytes().all(|byte| byte == b'0' || byte == b'.') {
        return text[1..].to_owned();
    }
    text
}

/// A number with four decimals, or with four significant digits where these would say less or
/// more than a reader wants: "3.4294", "0.0001146", "12345.7", "1.235e8".
#[must_use]
pub fn digits(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 1e6 || (magnitude > 0.0 && magnitude < 1e-6) => {
            format!("{value:.3e}")
        }
        magnitude if magnitude >= 1e4 => format!("{value:.1}"),
        magnitude if magnitude > 0.0 && magnitude < 0.1 => {
            let zeros = -libm::floor(libm::log10(magnitude)) as usize;
            format!("{value:.*}", zeros + 3)
        }
        _ => format!("{value:.4}"),
    }
}

/// A whole number in groups of three: "146,304".
#[must_use]
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A large amount with a decimal prefix: "10.2 TFLOP", "0 FLOP".
#[must_use]
pub fn prefixed(value: f64, unit: &str) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P", "E", "Z"];
    let mut scaled = value;
    let mut place = 0;
    // 999.5 would be printed as 1000 and belongs to the next prefix.
    while scaled.abs() >= 999.5 && place + 1 < prefixes.len() {
        scaled /= 1000.0;
        place += 1;
    }
    let digits = match scaled.abs() {
        _ if place == 0 => 0,
        magnitude if magnitude < 9.995 => 2,
        magnitude if magnitude < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$} {}{unit}", prefixes[place])
}

/// A number of tokens on an axis: "20k", "1.5M", "2B".
#[must_use]
pub fn short_tokens(tokens: f64) -> String {
    let (scaled, suffix) = match tokens {
        _ if tokens < 1e3 => (tokens, ""),
        _ if tokens < 1e6 => (tokens / 1e3, "k"),
        _ if tokens < 1e9 => (tokens / 1e6, "M"),
        _ if tokens < 1e12 => (tokens / 1e9, "B"),
        _ => (tokens / 1e12, "T"),
    };
    format!("{}{suffix}", (scaled * 1e3).round() / 1e3)
}

/// A number of tokens or parameters to three digits: "210M", "1.68B", "25.6k".
#[must_use]
pub fn amount(value: f64) -> String {
    if !(value.is_finite() && value > 0.0) {
        return short_tokens(value);
    }
    let unit = 10f64.powf(value.log10().floor() - 2.0);
    short_tokens((value / unit).round() * unit)
}

/// The amount that a person writes: "25600", "1e6", "25.6k", "1.5M", "2B"; `None` for other texts.
#[must_use]
pub fn parse_amount(text: &str) -> Option<f64> {
    let (digits, factor) = match text.char_indices().next_back()? {
        (at, 'k') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        (at, 'B') => (&text[..at], 1e9),
        (at, 'T') => (&text[..at], 1e12),
        _ => (text, 1.0),
    };
    let plain = |c: char| c.is_ascii_digit() || ".eE+-_".contains(c);
    let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let number: f64 = digits.replace('_', "").parse().ok()?;
    // The product of decimals is not always the decimal that was meant: 25.6k are 25,600.
    let value = (number * factor * 1e3).round() / 1e3;
    let value = if factor > 1.0 { value } else { number };
    (begins && digits.chars().all(plain) && value.is_finite()).then_some(value)
}

/// A whole number of tokens as a person writes it.
///
/// # Errors
/// If it is none.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let whole = |value: &f64| value.fract() == 0.0 && (0.0..9e15).contains(value);
    let exact = text.parse::<u64>().ok();
    let count = exact.or_else(|| Some(parse_amount(text).filter(whole)? as u64));
    count.ok_or_else(|| "a whole number was expected: 25600, 25.6k or 1e6".to_owned())
}

/// Hours as a person writes them: "0.5", "2h", "30m", "1h30m".
///
/// # Errors
/// If it is no time.
pub fn parse_hours(text: &str) -> Result<f64, String> {
    let part = |rest: &str, unit: char| match rest.split_once(unit) {
        Some((number, rest)) => Some((number.parse::<f64>().ok()?, rest.to_owned())),
        None => Some((0.0, rest.to_owned())),
    };
    let with_units = || {
        let (hours, rest) = part(text, 'h')?;
        let (minutes, rest) = part(&rest, 'm')?;
        (rest.is_empty() && !text.is_empty()).then_some(hours + minutes / 60.0)
    };
    let hours = text.parse().ok().or_else(with_units);
    hours.ok_or_else(|| "hours were expected: 0.5, 2h or 30m".to_owned())
}

/// A duration: "0.84 s", "42.1 s", "3 min 12 s", "1 h 05 min".
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        _ if seconds < 9.95 => format!("{seconds:.2} s"),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        _ if whole < 3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => {
            let minutes = (seconds / 60.0).round() as u64;
            format!("{} h {:02} min", minutes / 60, minutes % 60)
        }
    }
}

/// The same text with a true minus sign before numbers, for pages and pictures.
#[must_use]
pub fn with_true_minus(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let number_follows = characters.peek().is_some_and(char::is_ascii_digit);
        let minus = character == '-' && number_follows && (before == ' ' || before == '(');
        result.push(if minus { '−' } else { character });
        before = character;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (146_304, "146,304")];
        for (value, expected) in cases {
            assert_eq!(grouped(value), expected);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn prefixes_keep_three_digits() {
        let cases = [
            (0.0, "0 FLOP"),
            (12.0, "12 FLOP"),
            (999.7, "1.00 kFLOP"),
            (1.0234e13, "10.2 TFLOP"),
            (9.996e12, "10.0 TFLOP"),
            (1e18, "1.00 EFLOP"),
        ];
        for (value, expected) in cases {
            assert_eq!(prefixed(value, "FLOP"), expected);
        }
    }

    #[test]
    fn tokens_are_short() {
        let cases =
            [(500.0, "500"), (25_600.0, "25.6k"), (1e6, "1M"), (2.5e9, "2.5B"), (3e12, "3T")];
        for (value, expected) in cases {
            assert_eq!(short_tokens(value), expected);
        }
        let cases = [(209_715_200.0, "210M"), (1_677_721_600.0, "1.68B"), (25_600.0, "25.6k")];
        for (value, expected) in cases {
            assert_eq!(amount(value), expected);
        }
    }

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let cases = [("25600", 25_600.0), ("25.6k", 25_600.0), ("1e6", 1e6), ("1.5M", 1.5e6)];
        for (text, expected) in cases {
            assert_eq!(parse_amount(text), Some(expected), "{text}");
            assert_eq!(parse_count(text), Ok(expected as u64), "{text}");
        }
        assert_eq!(parse_amount("2B"), Some(2e9));
        for text in ["", "k", "inf", "nan", "1kk", "pocket-150k", "e6", "0x10", "1.5.5"] {
            assert_eq!(parse_amount(text), None, "{text}");
        }
        assert!(parse_count("0.5").is_err() && parse_count("-1k").is_err());
        for (text, expected) in [("0.5", 0.5), ("2h", 2.0), ("30m", 0.5), ("1h30m", 1.5)] {
            assert_eq!(parse_hours(text), Ok(expected), "{text}");
        }
        assert!(["", "h", "2x", "30m1h"].iter().all(|text| parse_hours(text).is_err()));
    }

    #[test]
    fn durations_never_show_sixty_seconds() {
        let cases = [
            (0.844, "0.84 s"),
            (42.06, "42.1 s"),
            (59.97, "1 min 00 s"),
            (192.0, "3 min 12 s"),
            (3599.7, "1 h 00 min"),
            (3900.0, "1 h 05 min"),
        ];
        for (value, expected) in cases {
            assert_eq!(duration(value), expected);
        }
    }

    #[test]
    fn differences_carry_their_sign_and_a_true_minus_in_print() {
        assert_eq!(signed(0.04461), "+0.0446");
        assert_eq!(signed(-0.00001), "0.0000");
        let text = "-0.0446 (-3 to -2) standard-4 - x";
        assert_eq!(with_true_minus(text), "−0.0446 (−3 to −2) standard-4 - x");
    }

    #[test]
    fn digits_fit_the_size() {
        let cases = [
            (3.429_44, "3.4294"),
            (0.046_942_93, "0.04694"),
            (0.000_114_6, "0.0001146"),
            (0.0, "0.0000"),
            (-0.05, "-0.05000"),
            (12_345.67, "12345.7"),
            (209_715_200.0, "2.097e8"),
            (1.5e-9, "1.500e-9"),
        ];
        for (value, expected) in cases {
            assert_eq!(digits(value), expected);
        }
    }
}
