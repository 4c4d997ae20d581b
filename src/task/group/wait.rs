//! Waiting for all members of a group, and helping meanwhile.

use super::members::is_to_run;
use super::{GroupRef, State};
use crate::sync::{spin_loop, wait_deadline};
use crate::task::cell::TaskRef;
use crate::task::context::{self, Awaited, Circle, Worker};
use crate::task::home::home_of;
use crate::task::life;
use std::rc::Rc;
use std::time::Instant;

/// How often to look before going to sleep.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 100 };

impl GroupRef {
    /// Waits until no member is left, or until `deadline`. Says whether none is.
    ///
    /// If it helps, and is a worker of the members' pool, it runs those that are pending.
    /// Only the wait for an owned group is refused if it could never end: that of a scope is a part of all waits for the
    /// task that has opened it.
    pub(crate) fn wait(&self, helps: bool, deadline: Option<Instant>) -> Result<bool, Circle> {
        let worker = || context::worker_of(home_of(&self.0));
        let mut worker = helps.then(worker).flatten();
        loop {
            self.tend_graves();
            if self.is_empty() {
                return Ok(true);
            }
            if let Some(task) = worker.as_ref().and_then(|_| self.find_pending()) {
                if !self.run(&task, worker.as_ref()) {
                    // There is neither stack nor a thread for it: it is left to other workers.
                    worker = None;
                }
                continue;
            }
            if self.look() {
                continue;
            }
            let mut in_time = true;
            let mut sleep = || in_time = self.sleep(worker.is_some(), deadline);
            match &worker {
                Some(worker) if !self.is_scope() => {
                    worker.block(Awaited::AllOf(self.clone()), &mut sleep)?;
                    worker.tend();
                }
                _ => sleep(),
            }
            if !in_time {
                return Ok(self.is_empty());
            }
        }
    }

    /// Runs a member that is pending, on a worker of the members' pool. False: this is none, or there is none.
    pub(crate) fn help(&self) -> bool {
        let Some(worker) = context::worker_of(home_of(&self.0)) else {
            return false;
        };
        let task = self.find_pending();
        task.is_some_and(|task| self.run(&task, Some(&worker)))
    }

    /// Runs a member, unless the group has been stopped. False: it could not.
    fn run(&self, task: &TaskRef, worker: Option<&Rc<dyn Worker>>) -> bool {
        match self.0.cause() {
            Some(cause) => {
                // It may have begun.
                let _ = life::doom(task, &cause);
                true
            }
            None => worker.is_some_and(|worker| worker.help(task).is_ok()),
        }
    }

    pub(super) fn look(&self) -> bool {
        for _ in 0..LOOKS {
            if self.is_empty() {
                return true;
            }
            spin_loop();
        }
        false
    }

    /// Sleeps until something has changed. False: the deadline has passed.
    pub(super) fn sleep(&self, helps: bool, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        if helps {
            state.helpers += 1;
        }
        let has_work = |state: &State| {
            let for_workers = helps && (state.has_pool_graves || state.tasks.iter().any(is_to_run));
            for_workers || !state.graves.is_empty() || self.is_empty()
        };
        let mut in_time = true;
        while in_time && !has_work(&state) {
            in_time = wait_deadline(&self.changed, &mut state, deadline);
        }
        if helps {
            state.helpers -= 1;
            // To be looked at next.
            state.has_pool_graves = false;
        }
        in_time
    }
}
