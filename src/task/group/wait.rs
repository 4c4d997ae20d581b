//! Waiting for all members of a group, and helping meanwhile.

use super::{GroupRef, State};
use crate::sync::{spin_loop, wait_deadline};
use crate::task::cell::TaskRef;
use crate::task::context::{self, Worker};
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
    pub(crate) fn wait(&self, helps: bool, deadline: Option<Instant>) -> bool {
        let worker = || context::worker_of(home_of(&self.0));
        let mut worker = helps.then(worker).flatten();
        loop {
            self.tend_graves();
            if self.is_empty() {
                return true;
            }
            if let Some(task) = worker.as_ref().and_then(|_| self.take_pending()) {
                if !self.run(&task, worker.as_ref()) {
                    // There is neither stack nor a thread for it: it is left to other workers.
                    worker = None;
                    self.add(task);
                }
                continue;
            }
            if self.look() {
                continue;
            }
            if !self.sleep(worker.is_some(), deadline) {
                return self.is_empty();
            }
        }
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

    fn look(&self) -> bool {
        for _ in 0..LOOKS {
            if self.is_empty() {
                return true;
            }
            spin_loop();
        }
        false
    }

    /// Sleeps until something has changed. False: the deadline has passed.
    fn sleep(&self, helps: bool, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        if helps {
            state.helpers += 1;
        }
        let has_work = |state: &State| {
            let to_run = helps && !state.tasks.is_empty();
            to_run || !state.graves.is_empty() || self.is_empty()
        };
        let mut in_time = true;
        while in_time && !has_work(&state) {
            in_time = wait_deadline(&self.changed, &mut state, deadline);
        }
        if helps {
            state.helpers -= 1;
        }
        in_time
    }
}
