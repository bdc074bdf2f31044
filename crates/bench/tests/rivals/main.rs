//! What other pools do where this one gives a guarantee, shown beside what it does itself.
//! `docs/guarantees.md` has the table.
//!
//! Each test plays one scenario on all pools and says what came of it in each. When a rival does
//! better in a later version, its test fails, and the table is to be put right.

#![allow(clippy::unwrap_used, reason = "tests")]

mod connecting;
mod hostile;
mod keeping;
mod pools;
mod server;
mod table;
mod waiting;
