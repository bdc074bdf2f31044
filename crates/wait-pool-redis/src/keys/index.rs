//! From a command's name to its line of the table.
//!
//! A hash table made at compile time. A binary search over the sorted lines takes five times as long: nine
//! comparisons whose outcome no processor can foresee, for every command that is sent.

use super::command::CommandInfo;
use super::table::COMMANDS;

/// The line with this name, which must be in upper case.
pub(super) fn line(name: &[u8]) -> Option<&'static CommandInfo<'static>> {
    let mut place = hash(name);
    loop {
        // An empty place ends the search, since it would have been taken by the line looked for.
        let line = COMMANDS.get(usize::from(INDEX[place]))?;
        if line.name().as_bytes() == name {
            return Some(line);
        }
        place = (place + 1) % PLACES;
    }
}

/// At most half of the places are taken, so that searches are short and always end.
const PLACES: usize = 1024;
const _: () = assert!(COMMANDS.len() <= PLACES / 2);

/// In a place that no line has.
const EMPTY: u16 = u16::MAX;

/// The lines' numbers, each in the first place from its name's hash on that was free.
static INDEX: [u16; PLACES] = {
    let mut index = [EMPTY; PLACES];
    let mut number = 0;
    while number < COMMANDS.len() {
        let mut place = hash(COMMANDS[number].name().as_bytes());
        while index[place] != EMPTY {
            place = (place + 1) % PLACES;
        }
        index[place] = number as u16;
        number += 1;
    }
    index
};

/// FNV-1a: good enough for names, and possible at compile time.
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811C_9DC5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    // The upper half is mixed in, since the lower bits alone see little of the first letters.
    (hash ^ (hash >> 16)) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_and_soon() {
        for (number, expected) in COMMANDS.iter().enumerate() {
            let name = expected.name();
            let found = line(name.as_bytes()).unwrap();
            assert!(std::ptr::eq(found, expected), "{name} is there twice");
            let is_it = |&listed: &u16| usize::from(listed) == number;
            let place = INDEX.iter().position(is_it).unwrap();
            let steps = (place + PLACES - hash(name.as_bytes())) % PLACES;
            assert!(steps <= 8, "{steps} steps to {name}");
        }
        assert!(line(b"").is_none());
        assert!(line(b"get").is_none());
    }
}
