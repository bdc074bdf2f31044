//! Numbers as people read them.

const LINE: usize = 98;

/// `1,234,567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate, rounded.
pub(super) fn rate(per_second: f64) -> String {
    count(per_second.round() as u64)
}

/// `850 µs`, `4.2 ms`, `42 ms`, `1.5 s`.
pub(super) fn micros(us: u64) -> String {
    let value = us as f64;
    match us {
        0..1000 => format!("{us} µs"),
        1000..10_000 => format!("{:.1} ms", value / 1e3),
        10_000..1_000_000 => format!("{:.0} ms", value / 1e3),
        _ => format!("{:.1} s", value / 1e6),
    }
}

/// `0 errors`, `1 error`, `1,234 errors`.
pub(super) fn counted(n: u64, what: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {what}{plural}", count(n))
}

/// How many percent `part` is of `whole`; small parts are not rounded to nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    if percent < 10.0 && part > 0 {
        format!("{} %", trimmed(percent.max(0.01)))
    } else if part < whole && percent > 99.0 {
        format!("{} %", trimmed(percent.min(99.99)))
    } else {
        format!("{percent:.0} %")
    }
}

/// An item of a list, in lines of a readable length.
pub(super) fn item(text: &str) -> String {
    let mut item = " -".to_owned();
    let mut length = item.len();
    for word in text.split(' ') {
        let width = word.chars().count();
        if length + 1 + width > LINE {
            item.push_str("\n  ");
            length = 2;
        }
        item.push(' ');
        item.push_str(word);
        length += 1 + width;
    }
    item
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0');
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        let texts = [0, 12, 999, 1000, 12_345, 123_456, 1_234_567].map(count);
        let expected = ["0", "12", "999", "1,000", "12,345", "123,456", "1,234,567"];
        assert_eq!(texts, expected);
        assert_eq!(rate(999.5), "1,000");
        assert_eq!(rate(f64::NAN), "0");
    }

    #[test]
    fn times_have_a_fitting_unit() {
        let texts = [0, 850, 4_249, 42_400, 1_540_000].map(micros);
        assert_eq!(texts, ["0 µs", "850 µs", "4.2 ms", "42 ms", "1.5 s"]);
    }

    #[test]
    fn one_is_singular() {
        let texts = [0, 1, 2].map(|n| counted(n, "error"));
        assert_eq!(texts, ["0 errors", "1 error", "2 errors"]);
    }

    #[test]
    fn items_are_broken_between_words() {
        assert_eq!(item("one two"), " - one two");
        let long = item(&"twelve chars ".repeat(20));
        assert!(long.lines().all(|line| line.len() <= LINE));
        assert!(long.lines().skip(1).all(|line| line.starts_with("   ")));
        assert_eq!(long.split_whitespace().count(), 41);
    }

    #[test]
    fn percent_never_says_none_or_all_of_it_wrongly() {
        assert_eq!(percent(0, 10), "0 %");
        assert_eq!(percent(10, 10), "100 %");
        assert_eq!(percent(1, 1_000_000), "0.01 %");
        assert_eq!(percent(999_999, 1_000_000), "99.99 %");
        assert_eq!(percent(1, 20), "5 %");
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(percent(0, 0), "0 %");
    }
}
