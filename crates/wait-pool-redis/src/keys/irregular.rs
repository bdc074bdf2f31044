//! The commands whose keys no key specification can place: they are found by reading the options, as the
//! server does.

use redis::Cmd;

use super::extract::{Run, Runs};
use super::name::args;

/// Where `cmd` has its keys, if `name` is one of the commands known here.
pub(super) fn runs(name: &str, cmd: &Cmd) -> Option<Runs> {
    match name {
        "SORT" => Some(sort(cmd)),
        // SORT without STORE.
        "SORT_RO" => Some(Runs::new([Run::one(1)])),
        "MIGRATE" => Some(migrate(cmd)),
        _ => None,
    }
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC | DESC] [ALPHA] [STORE destination]`
///
/// Of several destinations the last counts. The patterns name keys too, made of the elements that are sorted;
/// a cluster takes only patterns that cannot leave the slot of `key`.
fn sort(cmd: &Cmd) -> Runs {
    const VALUES: [(&str, usize); 4] = [("BY", 1), ("LIMIT", 2), ("GET", 1), ("STORE", 1)];
    let destination = behind_option("STORE", 2, &VALUES, cmd).last();
    let destination = destination.filter(|&position| position < args(cmd).len());
    Runs::new([1].into_iter().chain(destination).map(Run::one))
}

/// `MIGRATE host port key db timeout [COPY] [REPLACE] [AUTH password] [AUTH2 username password]`, or with
/// an empty `key` and `[KEYS key …]` at the end.
fn migrate(cmd: &Cmd) -> Runs {
    const VALUES: [(&str, usize); 2] = [("AUTH", 1), ("AUTH2", 2)];
    let many = match args(cmd).nth(3) {
        Some(b"") => behind_option("KEYS", 6, &VALUES, cmd).next(),
        _ => None,
    };
    let run = match many {
        Some(first) => Run::up_to_the_end(first, cmd),
        None => Run::one(3),
    };
    Runs::new([run])
}

/// The positions behind each `option` of `cmd`. Options begin at `from`; those in `values` are followed by so
/// many values, which are skipped, so that a password is not taken for an option.
fn behind_option<'a>(
    option: &'a str,
    from: usize,
    values: &'a [(&str, usize)],
    cmd: &'a Cmd,
) -> impl Iterator<Item = usize> + 'a {
    let mut words = args(cmd).enumerate().skip(from);
    std::iter::from_fn(move || {
        let (position, word) = words.next()?;
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if let Some(&(_, count)) = values.iter().find(|(name, _)| is(name)) {
            words.by_ref().take(count).for_each(drop);
        }
        Some(is(option).then_some(position + 1))
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::super::find;

    #[track_caller]
    fn keys(command: &str, expected: &[&str]) {
        let mut cmd = redis::Cmd::new();
        for word in command.split(' ') {
            cmd.arg(if word == "''" { "" } else { word });
        }
        let keys: Vec<_> = find(&cmd).unwrap().keys(&cmd).collect();
        let expected: Vec<_> = expected.iter().map(|key| key.as_bytes()).collect();
        assert_eq!(keys, expected, "{command}");
    }

    #[test]
    fn sort() {
        keys("SORT k", &["k"]);
        keys(
            "sort k limit 0 5 get # by w_* desc alpha store d",
            &["k", "d"],
        );
        keys("SORT k BY store GET store STORE d", &["k", "d"]);
        keys("SORT k STORE a STORE b", &["k", "b"]);
        keys("SORT k STORE", &["k"]);
        keys("SORT k LIMIT 0", &["k"]);
        keys("SORT_RO k GET store", &["k"]);
    }

    #[test]
    fn migrate() {
        keys("MIGRATE h 1 k 0 5", &["k"]);
        keys("MIGRATE h 1 k 0 5 COPY REPLACE AUTH keys", &["k"]);
        keys("MIGRATE h 1 '' 0 5 COPY KEYS a b c", &["a", "b", "c"]);
        keys(
            "MIGRATE h 1 '' 0 5 AUTH keys KEYS a keys b",
            &["a", "keys", "b"],
        );
        keys("MIGRATE h 1 '' 0 5 AUTH2 keys keys keys a", &["a"]);
        keys("MIGRATE h 1 '' 0 5 KEYS", &[]);
        keys("MIGRATE h 1 '' 0 5", &[""]);
    }
}
