//! How members of a group come in.
#![allow(
    unsafe_code,
    reason = "members may borrow from whoever waits for the group"
)]

use super::refusal::Refusal;
use super::shared::Core;
use super::submit::WhenFull;
use crate::report::TaskId;
use crate::report::ledger::Caller;
use crate::stop::StopEvent;
use crate::task::TaskHandle;
use crate::task::cell::{Birth, Noted, TaskRef};
use crate::task::entry::Entry;
use crate::task::group::{GroupRef, Sort};
use crate::task::life::{self, Doomed, first_word};
use crate::task::state::State;

impl Core {
    /// Submits a member of a group.
    ///
    /// # Safety
    ///
    /// The closure and the value borrow nothing that ends before the group has been empty; and then the
    /// handle, if it is still there, is leaked.
    #[track_caller]
    pub(crate) unsafe fn submit_member<F, T>(&self, group: &GroupRef, closure: F) -> TaskHandle<T>
    where
        F: FnOnce(&StopEvent) -> T + Send,
        T: Send,
    {
        group.enter();
        let (id, refusal) = match self.admit_member(group) {
            Ok(id) => (id, None),
            Err(refusal) => (self.home.ledger.refuse(1), Some(refusal)),
        };
        let mut word = first_word(refusal.is_none(), true);
        if group.is_under_others() && refusal.is_none() {
            // Or those that are pending would begin while whoever sets the event tells others of it.
            word = State::under(word);
        }
        let birth = Birth {
            parent: group.node().clone(),
            id,
            word,
            count: 2,
            extra: Noted {
                submitted: self.stamp(),
            },
        };
        // SAFETY: whoever waits for the group to be empty waits until the task has been given up: then
        // its closure is gone, and its value is gone or its handle's, as our caller vouches.
        let task = unsafe { TaskRef::new(birth, closure) };
        // SAFETY: it was born with two references, and this is the second.
        let twin = unsafe { task.twin() };
        // SAFETY: it was born with a handle, for this `T`, and this is it.
        let handle = unsafe { TaskHandle::new(twin) };
        match (refusal, group.node().cause()) {
            (Some(refusal), cause) => {
                let cause = cause.unwrap_or_else(|| refusal.cause());
                Doomed::refused(task, &cause).drop_closure();
            }
            (None, Some(cause)) => life::doom_unqueued(&task, &cause),
            // First to those who stop, then to those who start.
            (None, None) if group.add(&task) => match group.sort() {
                Sort::Inside => self.push_to_scope(Entry::of_member(task)),
                Sort::Outside => self.push(Entry::of_member(task)),
                Sort::Owned => self.push(Entry::of_task(task, true)),
            },
            (None, None) => {}
        }
        handle
    }

    fn admit_member(&self, group: &GroupRef) -> Result<TaskId, Refusal> {
        let event = StopEvent::of(group.node().clone());
        self.find_room(WhenFull::Wait(Some(&event)), 1)?;
        if let Some(id) = self.home.ledger.admit(Caller::Outside, 1) {
            return Ok(id);
        }
        let caller = match group.sort() {
            Sort::Inside => Caller::Scope,
            Sort::Outside | Sort::Owned => Caller::Inside,
        };
        self.admit_inside(caller, 1)
    }
}
