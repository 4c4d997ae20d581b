//! Waiting for a task: from outside by sleeping, from a worker of its own pool by running it.

use super::cell::TaskRef;
use super::context::{self, Circle};
use super::life::{has_happened, listen};
use crate::stop::listeners::Topic;
use crate::stop::parker::Parker;
use crate::sync::{Arc, spin_loop};
use std::time::Instant;

/// How often to look before going to sleep. The end of a short task is often that close.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 100 };

/// Waits, for as long as it takes, until what `topic` is about has happened to the task.
///
/// A worker of the task's pool runs the task itself if it is pending.
pub(crate) fn wait(task: &TaskRef, topic: Topic) -> Result<(), Circle> {
    if has_happened(task.state().load(), topic) {
        return Ok(());
    }
    let Some(worker) = context::worker_of(task.home()) else {
        sleep(task, topic, None);
        return Ok(());
    };
    worker.help(task)?;
    if has_happened(task.state().load(), topic) {
        return Ok(());
    }
    worker.block(task, &mut || {
        sleep(task, topic, None);
    })
}

/// Waits until it has happened or `deadline` has passed. Says whether it has happened.
pub(crate) fn wait_deadline(task: &TaskRef, topic: Topic, deadline: Option<Instant>) -> bool {
    has_happened(task.state().load(), topic) || sleep(task, topic, deadline)
}

fn sleep(task: &TaskRef, topic: Topic, deadline: Option<Instant>) -> bool {
    let happened = || has_happened(task.state().load(), topic);
    for _ in 0..LOOKS {
        if happened() {
            return true;
        }
        spin_loop();
    }
    let parker = Arc::new(Parker::new());
    let Some(key) = listen(task, topic, parker.clone()) else {
        return true;
    };
    while !happened() && parker.park_until(deadline) {}
    // Gone already if it has happened.
    let _ = task.node().unlisten(key);
    happened()
}
