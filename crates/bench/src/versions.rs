//! Which versions were measured: what the lock file says.

const LOCK: &str = include_str!("../../../Cargo.lock");

/// The version of a package; the highest where there are several.
pub(crate) fn of(package: &str) -> Option<&'static str> {
    find(LOCK, package)
}

fn find<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    // Versions of one package stand in rising order.
    let entry = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = lock.rsplit_once(&entry)?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_knows() {
        let lock = "[[package]]\nname = \"a-b\"\nversion = \"1.2.3\"\n\n[[package]]\n\
                    name = \"b\"\nversion = \"4.5.6\"\n";
        assert_eq!(find(lock, "b"), Some("4.5.6"));
        assert_eq!(find(lock, "c"), None);
        assert!(of("tokio").is_some());
    }
}
