//! Waiting for a task: from outside by sleeping, from a worker of its own pool by running it.

use super::cell::TaskRef;
use super::context::{self, Awaited, Circle};
use super::life::{has_happened, listen};
use crate::stop::StopEvent;
use crate::stop::listeners::{Listen, Topic};
use crate::stop::parker::Parker;
use crate::stop::wait::Registration;
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
        refuse_oneself(task)?;
        sleep(task, topic, None);
        return Ok(());
    };
    worker.help(task)?;
    if has_happened(task.state().load(), topic) {
        return Ok(());
    }
    worker.block(Awaited::AnyOf(vec![task.clone()]), &mut || {
        sleep(task, topic, None);
    })
}

/// Waits until the task has ended or `stop` is set. As [`wait`], it runs a pending task.
pub(crate) fn wait_or_stopped(task: &TaskRef, stop: &StopEvent) -> Result<(), Circle> {
    let done = || task.state().load().is_done();
    if done() || stop.is_set() {
        return Ok(());
    }
    let Some(worker) = context::worker_of(task.home()) else {
        refuse_oneself(task)?;
        sleep_or_stopped(task, stop);
        return Ok(());
    };
    worker.help(task)?;
    if done() {
        return Ok(());
    }
    worker.block(Awaited::AnyOf(vec![task.clone()]), &mut || {
        sleep_or_stopped(task, stop);
    })
}

/// A task that no worker runs, and that waits for its own end.
fn refuse_oneself(task: &TaskRef) -> Result<(), Circle> {
    let is_current = |event: &StopEvent| event.observer().is_some_and(|it| it.same(task.node()));
    match context::with_current(is_current) {
        Some(true) => Err(Circle(vec![task.id()])),
        _ => Ok(()),
    }
}

fn sleep_or_stopped(task: &TaskRef, stop: &StopEvent) {
    let Some(node) = stop.node() else {
        sleep(task, Topic::Done, None);
        return;
    };
    let done = || task.state().load().is_done();
    let parker = Arc::new(Parker::new());
    let Some(key) = listen(task, Topic::Done, parker.clone()) else {
        return;
    };
    let listener: Arc<dyn Listen> = parker.clone();
    if let Some(registration) = Registration::on_chain(node, &listener) {
        while !done() && !node.reads_set() {
            parker.park();
        }
        drop(registration);
    }
    let _ = task.node().unlisten(key);
    // If the stop came first, the task to which the event was given, if it was, has seen it.
    let _ = done() || stop.is_set();
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
