//! What has been called off and is left to others to be dropped: who calls it off may be a thread that runs no code of the
//! user's, or holds others up.
//!
//! The graveyard is the workers'. Captures of scopes are the scope's, as they may borrow from it; the workers are shown
//! which scopes have some, for whoever is to close one may wait for such a drop before. `life` is locked while something is
//! left, so no worker ends in between; the last one clears what is there when it has ended, and after that
//! nothing is left to the workers.

use super::shared::Shared;
use crate::sync::Ordering;
use crate::task::group::GroupRef;
use crate::task::life::{self, Doomed};
use crate::task::no_pool;

/// What is left to the workers to be dropped.
pub(crate) enum Grave {
    Task(Doomed),
    /// What was left to this scope.
    Scope(GroupRef),
}

/// Closures that have been left to others, who are to hear of it.
#[must_use = "those who are to drop them have to hear of it"]
pub(super) struct Left {
    /// Those of scopes, which who closes the scope is to drop.
    pub(super) scoped: Vec<Doomed>,
    /// Groups of which the workers have some to drop: one may wait for it.
    pub(super) groups: Vec<GroupRef>,
}

impl Left {
    pub(super) fn leave(self, shared: &Shared) {
        let scopes = life::groups_of(&self.scoped);
        life::leave_to_scopes(self.scoped);
        shared.dig_for_scopes(scopes);
        for group in self.groups {
            group.poke();
        }
    }
}

impl Shared {
    /// Lets the workers, too, drop what was left to these: whoever is to close them may wait for such a drop before.
    pub(super) fn dig_for_scopes(&self, scopes: Vec<GroupRef>) {
        if scopes.is_empty() {
            return;
        }
        {
            let life = self.life.lock();
            if life.threads.are_serving() {
                let mut graveyard = self.graveyard.lock();
                graveyard.extend(scopes.into_iter().map(Grave::Scope));
                // Relaxed: as in `dig`.
                self.graves.store(graveyard.len(), Ordering::Relaxed);
            }
        }
        self.idle.notify();
    }

    /// Leaves closures to the workers. The groups to which some of them belong are to be poked.
    pub(super) fn dig(&self, doomed: Vec<Doomed>) -> Vec<GroupRef> {
        let groups = life::groups_of(&doomed);
        let mut graveyard = self.graveyard.lock();
        graveyard.extend(doomed.into_iter().map(Grave::Task));
        // Relaxed: see `has_graves`.
        self.graves.store(graveyard.len(), Ordering::Relaxed);
        groups
    }

    /// Leaves the drops of closures to a worker, if there is one.
    pub(super) fn bury(&self, doomed: Vec<Doomed>) {
        let (scoped, others) = life::part_scoped(doomed);
        let left = {
            let life = self.life.lock();
            if life.threads.are_serving() {
                Ok(self.dig(others))
            } else {
                Err(others)
            }
        };
        let groups = left.unwrap_or_else(|others| {
            // The last worker has ended, and this thread is not to run such code: all time limits would wait for it.
            others.into_iter().for_each(no_pool::leave);
            Vec::new()
        });
        Left { scoped, groups }.leave(self);
        self.idle.notify();
    }

    pub(super) fn has_graves(&self) -> bool {
        // Relaxed: what is there is taken under the lock. A worker that goes to sleep, or ends, does not miss it: who leaves
        // something fences then and looks for sleepers, or wakes all under their lock; and does so under the lock of the
        // pool's life, or holds the workers, which `is_over` sees.
        self.graves.load(Ordering::Relaxed) > 0
    }

    /// Drops closures that a shutdown has left to the workers.
    pub(super) fn tend_graveyard(&self) {
        loop {
            let grave = {
                let mut graveyard = self.graveyard.lock();
                let grave = graveyard.pop();
                // Relaxed: what is to be seen is that there is something, not that there is nothing.
                self.graves.store(graveyard.len(), Ordering::Relaxed);
                grave
            };
            match grave {
                Some(Grave::Task(doomed)) => doomed.drop_closure(),
                Some(Grave::Scope(scope)) => scope.tend_graves(),
                None => return,
            }
        }
    }
}
