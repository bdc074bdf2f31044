//! On a real cluster: everybody answers rightly.

use super::contestant::lineup;
use super::fixed::Fixed;
use super::site::Site;

#[test]
fn all_answer_rightly() {
    let site = Site::start().unwrap();
    for entry in lineup() {
        let fixed = Fixed {
            callers: 8,
            each: 10,
        };
        let served = (entry.fixed)(site.urls(), fixed);
        assert!(served.is_ok(), "{}: {served:?}", entry.title());
        site.wait_until_left().unwrap();
    }
}
