//! What a command is: where its keys are, whether it reads or writes, and whom it concerns.
//!
//! [`find`] looks a command up in a table that a real server described; the [`CommandInfo`] found there takes
//! the keys out of the command. Nothing here allocates, since this is asked of every command sent.

mod command;
mod extract;
mod index;
mod irregular;
mod module;
mod name;
mod patience;
mod policy;
mod session;
mod table;

#[cfg(test)]
mod getkeys_test;

pub(crate) use command::{CommandInfo, UNLISTED, find};
pub(crate) use module::Commands;
pub use module::ModuleCommand;
pub(crate) use patience::{Patience, patience};
pub(crate) use policy::RequestPolicy;
pub use policy::ResponsePolicy;
pub(crate) use session::{Channels, SessionCommand, channels, session, touches_session};
