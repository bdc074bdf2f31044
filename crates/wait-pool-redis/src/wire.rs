//! Replies as they come over the wire.

mod reply;
