//! What a command is: where its keys are, whether it reads or writes, and whom it concerns.
//!
//! [`find`] looks a command up in a table that a real server described; the [`CommandInfo`] found there takes
//! the keys out of the command. Nothing here allocates, since this is asked of every command sent.

mod command;
mod extract;
mod index;
mod irregular;
mod name;
mod patience;
mod session;
mod table;

#[cfg(test)]
mod getkeys_test;

pub(crate) use command::{CommandInfo, RequestPolicy, UNLISTED, find};
pub(crate) use patience::{Patience, patience, waits_for_own_writes};
pub(crate) use session::{SessionCommand, session, touches_session};
