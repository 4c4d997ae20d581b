//! Stands in for `timer.rs` in models, in which no time passes.

use super::node::{Node, NodeRef};
use std::panic::Location;
use std::ptr::NonNull;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    Stop,
    Start,
    Cancel,
}

pub(crate) fn on_timer_thread() -> bool {
    false
}

pub(crate) fn start() {}

pub(super) fn set(
    _node: &NodeRef,
    _timer: Timer,
    _at: Instant,
    _location: &'static Location<'static>,
) {
}

pub(super) fn forget(_node: NonNull<Node>, _timer: Timer) {}
