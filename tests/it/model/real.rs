//! The tasks of a program, as the pool runs them.

use super::spec::Body;
use crate::common::{DropCounter, Gate, Token, quiet_panic};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use stoppable::{StopEvent, Submitter, TaskHandle, TaskStatus};

/// What every task returns.
pub(super) const ANSWER: u64 = 42;

/// What a task that returned is remembered by: dropped once, like everything.
#[derive(Debug)]
pub(super) struct Answer(
    pub(super) u64,
    #[expect(dead_code, reason = "it counts its drop")] Token,
);

pub(super) type Handle = Arc<TaskHandle<Answer>>;

/// What a task shares with the program.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) gate: Arc<Gate>,
    pub(super) begun: AtomicUsize,
    /// What it joins.
    pub(super) target: Mutex<Option<Handle>>,
    /// What it has submitted.
    pub(super) child: Mutex<Option<(Handle, Arc<Shared>)>>,
    /// Of its closure's captures.
    pub(super) captured: DropCounter,
    /// Of its value.
    pub(super) returned: DropCounter,
    /// What its callbacks were told.
    pub(super) told: Mutex<Vec<TaskStatus>>,
}

/// The closure of a task.
pub(super) fn code(
    body: Body,
    shared: &Arc<Shared>,
    submitter: &Submitter,
) -> impl FnOnce(&StopEvent) -> Answer + Send + use<> {
    let (shared, submitter) = (Arc::clone(shared), submitter.clone());
    let token = shared.captured.token();
    move |stop| {
        let _token = token;
        shared.begun.fetch_add(1, Ordering::SeqCst);
        match body {
            Body::Quick => {}
            Body::Waits => stop.wait(),
            Body::PanicsWhenAsked => {
                stop.wait();
                quiet_panic("asked");
            }
            _ => shared.gate.pass(),
        }
        match body {
            Body::Polls => drop(stop.is_set()),
            Body::Panics => quiet_panic("as it was told to"),
            Body::Joins => {
                let target = shared.target.lock().unwrap().take();
                if let Some(target) = target {
                    target.wait();
                }
            }
            Body::Submits => {
                let below = Arc::new(Shared::default());
                let child = submitter.submit(code_of_child(&below));
                *shared.child.lock().unwrap() = Some((Arc::new(child), below));
            }
            _ => {}
        }
        Answer(ANSWER, shared.returned.token())
    }
}

/// As [`Body::Quick`].
fn code_of_child(shared: &Arc<Shared>) -> impl FnOnce(&StopEvent) -> Answer + Send + use<> {
    let shared = Arc::clone(shared);
    let token = shared.captured.token();
    move |_| {
        let _token = token;
        shared.begun.fetch_add(1, Ordering::SeqCst);
        Answer(ANSWER, shared.returned.token())
    }
}
