//! The table names the versions of the lock file and tests that exist.

const LOCK: &str = include_str!("../../../../Cargo.lock");
const TABLE: &str = include_str!("../../../../docs/guarantees.md");
const TESTS: &str = concat!(
    include_str!("connecting.rs"),
    include_str!("hostile.rs"),
    include_str!("keeping.rs"),
    include_str!("waiting.rs"),
);

fn section() -> &'static str {
    let (_, rest) = TABLE.split_once("## What other pools do instead").unwrap();
    rest.split("\n## ").next().unwrap()
}

#[test]
fn the_versions_are_those_of_the_lock_file() {
    for package in ["deadpool", "bb8", "mobc", "asyncband", "sqlx-core"] {
        let (_, rest) = section().split_once(&format!("{package} ")).unwrap();
        let version = rest.split([' ', ',', ';', '\n']).next().unwrap();
        let entry = format!("name = \"{package}\"\nversion = \"{version}\"\n");
        assert!(LOCK.contains(&entry), "{package} {version}");
    }
}

#[test]
fn each_test_is_in_the_table() {
    let names = TESTS.lines().filter_map(|line| line.strip_prefix("fn "));
    let names: Vec<_> = names.filter_map(|rest| rest.split('(').next()).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(section().contains(&format!("`{name}`")), "{name}");
    }
}
