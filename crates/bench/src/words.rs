//! Numbers as people read them.

/// With as many digits as say something: `1,234,567`, `123`, `12.3`, `1.23`.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v == v.trunc() || v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    format!("{}{fraction}", grouped(whole))
}

fn grouped(digits: &str) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_that_say_something() {
        let cases = [
            (0.0, "0"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (99.97, "100"),
            (123.4, "123"),
            (1_234_567.8, "1,234,568"),
            (800.0, "800"),
        ];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }
}
