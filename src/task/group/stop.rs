//! How a stop reaches the members of a group: whoever sets its node, or one above it, dooms those that are pending, and those
//! of the groups nested in it. The lists are changed under the group's lock; what was captured is dropped when that is free.

use super::{GroupRef, group_behind, group_of};
use crate::stop::StopCause;
use crate::stop::listeners::Listen;
use crate::stop::node::NodeRef;
use crate::stop::wait::Registration;
use crate::sync::{Arc, Mutex};
use crate::task::home::is_home;
use crate::task::life::{self, Doomed};
use std::fmt;
use std::mem;

pub(super) fn raise_group(node: &NodeRef, cause: &StopCause) -> bool {
    let Some(group) = GroupRef::behind(node).filter(|_| !node.reads_set()) else {
        return false;
    };
    // First what is pending, or a member that ends at once would let a worker start another; and what they had
    // captured last, so that nobody waits for that to hear of the stop.
    let doomed = group.doom_members(cause);
    let won = node.raise(cause);
    life::bury_all(doomed);
    won
}

impl GroupRef {
    /// Listens for all that stops the group besides its own event and its home's. Until what this returns is
    /// dropped.
    pub(crate) fn open(&self) -> Open {
        let listener: Arc<dyn Listen> = Arc::new(Stops {
            group: self.clone(),
            doomed: Mutex::new(Vec::new()),
        });
        let mut registrations = Vec::new();
        let mut stopped = false;
        let mut listen = |registration: Option<Registration>| {
            stopped |= registration.is_none();
            registrations.extend(registration);
        };
        let first = self.0.parent().filter(|first| !is_home(first));
        if let Some(task) = first {
            let end = |node: &NodeRef| is_home(node) || group_behind(node).is_some();
            listen(Registration::on_chain_to(task, &listener, end));
        }
        for other in &self.others {
            listen(Registration::on_chain(other, &listener));
        }
        if stopped {
            self.stop_members();
        }
        let outer = first.and_then(group_of).and_then(|outer| {
            let nested = outer.nest(self);
            // Its event may be unset still: who stops it dooms what is pending first.
            let nested = nested.map_err(|cause| life::bury_all(self.doom_members(&cause)));
            Some((outer.clone(), nested.ok()?))
        });
        Open {
            outer,
            _registrations: registrations,
        }
    }

    /// Keeps a group to be stopped with this one. Or says why this one has been stopped.
    fn nest(&self, inner: &GroupRef) -> Result<u64, StopCause> {
        let mut state = self.state.lock();
        if let Some(cause) = &state.stopped {
            return Err(cause.clone());
        }
        let key = state.next_nested;
        state.next_nested += 1;
        state.nested.insert(key, inner.clone());
        Ok(key)
    }

    /// Dooms what is pending in the group, and in those nested in it, since its event reads set.
    fn stop_members(&self) {
        if let Some(cause) = self.0.cause() {
            life::bury_all(self.doom_members(&cause));
        }
    }

    /// Dooms what is pending in the group, and in those nested in it. The closures are left to the caller.
    fn doom_members(&self, cause: &StopCause) -> Vec<Doomed> {
        let mut doomed = Vec::new();
        // In a loop, so that a deep nest takes no deep stack.
        let mut groups = vec![self.clone()];
        while let Some(group) = groups.pop() {
            let (tasks, nested) = {
                let mut state = group.state.lock();
                state.stopped.get_or_insert_with(|| cause.clone());
                (mem::take(&mut state.tasks), mem::take(&mut state.nested))
            };
            // Some may have begun.
            doomed.extend(
                tasks
                    .iter()
                    .filter_map(|task| life::doom_later(task, cause)),
            );
            groups.extend(nested.into_values());
        }
        doomed
    }
}

/// Stops the members of a group when an event above it is set.
struct Stops {
    group: GroupRef,
    /// What is to be dropped when everyone who listens for that event has been told.
    doomed: Mutex<Vec<Doomed>>,
}

impl Listen for Stops {
    fn notify(&self) {
        if let Some(cause) = self.group.0.cause() {
            let mut doomed = self.group.doom_members(&cause);
            self.doomed.lock().append(&mut doomed);
        }
    }

    fn afterwards(&self) {
        let doomed = mem::take(&mut *self.doomed.lock());
        life::bury_all(doomed);
    }
}

/// Keeps a group listening; see [`GroupRef::open`].
#[must_use = "a group that does not listen is not stopped with those above it"]
pub(crate) struct Open {
    outer: Option<(GroupRef, u64)>,
    _registrations: Vec<Registration>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some((outer, key)) = self.outer.take() {
            let inner = outer.state.lock().nested.remove(&key);
            drop(inner);
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}
