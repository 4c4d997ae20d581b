//! The pool's threads, under the lock of its life: how many there are, what goes with the last one, and who waits for it.

use super::hooks::Hooks;
use super::shared::{Core, Shared};
use crate::stop::wait::Registration;
use crate::sync::{Arc, wait_deadline};
use crate::task::context::contained;
use crate::task::home::Home;
use std::mem;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Threads {
    /// How many worker threads may still call the user's hooks.
    serving: usize,
    /// How many worker threads have not ended.
    alive: usize,
    handles: Vec<JoinHandle<()>>,
    /// Whether the pool has not been dropped.
    owned: bool,
    /// Listens for the event that the pool stops with.
    registration: Option<Registration>,
    /// Who is to be woken when the last thread has ended.
    wakers: Vec<Waker>,
}

/// What is given up when the threads have ended: to be dropped when no lock is held.
type Last = (Option<Arc<Hooks>>, Option<Registration>);

impl Default for Threads {
    fn default() -> Self {
        Threads {
            serving: 0,
            alive: 0,
            handles: Vec::new(),
            owned: true,
            registration: None,
            wakers: Vec::new(),
        }
    }
}

impl Threads {
    /// Whether there is a worker to leave something to.
    pub(super) fn are_serving(&self) -> bool {
        self.serving > 0
    }

    /// The threads have ended.
    fn leave(&mut self, shared: &Shared) -> Last {
        let hooks = if self.owned {
            None
        } else {
            shared.hooks.lock().take()
        };
        (hooks, self.registration.take())
    }
}

impl Shared {
    pub(super) fn thread_started(&self) {
        let mut life = self.life.lock();
        life.threads.serving += 1;
        life.threads.alive += 1;
    }

    pub(super) fn thread_ended(&self, home: &Home) {
        let last = {
            let mut life = self.life.lock();
            life.threads.serving -= 1;
            (life.threads.serving == 0).then(|| life.threads.leave(self))
        };
        if last.is_some() {
            // Nothing is left to threads from here on.
            self.tend_graveyard();
            home.depot.close();
        }
        // Before the end of the thread is told, and so before a shutdown returns.
        contained(|| drop(last));
        let wakers = {
            let mut life = self.life.lock();
            life.threads.alive -= 1;
            let is_last = life.threads.alive == 0;
            is_last.then(|| mem::take(&mut life.threads.wakers))
        };
        self.thread_ended.notify_all();
        for waker in wakers.into_iter().flatten() {
            contained(|| waker.wake());
        }
    }

    /// The pool was dropped.
    pub(super) fn owner_gone(&self) {
        let last = {
            let mut life = self.life.lock();
            life.threads.owned = false;
            (life.threads.serving == 0).then(|| life.threads.leave(self))
        };
        contained(|| drop(last));
    }

    /// Keeps the registration for as long as there are threads.
    pub(super) fn keep_registration(&self, registration: Registration) {
        let mut life = self.life.lock();
        if life.threads.are_serving() {
            life.threads.registration = Some(registration);
        } else {
            drop(life);
            drop(registration);
        }
    }

    pub(super) fn keep_thread(&self, thread: JoinHandle<()>) {
        self.life.lock().threads.handles.push(thread);
    }
}

impl Core {
    /// Waits until every worker thread has ended, or until `deadline`. Says whether they have.
    pub(super) fn wait_ended(&self, deadline: Option<Instant>) -> bool {
        self.wait_ended_unless(deadline, || false)
    }

    /// Lets those who wait for the threads look whether something else has happened.
    pub(super) fn wake_waiting(&self) {
        // Under the lock, or one who has looked and does not sleep yet would not hear of it.
        drop(self.shared.life.lock());
        self.shared.thread_ended.notify_all();
    }

    /// Wakes that one, besides others, when the last worker thread has ended. Says whether it has.
    pub(super) fn wake_when_ended(&self, waker: &Waker) -> bool {
        let fresh = waker.clone();
        let mut life = self.shared.life.lock();
        if life.threads.alive == 0 {
            return true;
        }
        if !life
            .threads
            .wakers
            .iter()
            .any(|known| known.will_wake(&fresh))
        {
            life.threads.wakers.push(fresh);
        }
        false
    }

    /// As [`wait_ended`](Self::wait_ended), but gives up when `is_over`.
    pub(super) fn wait_ended_unless(
        &self,
        deadline: Option<Instant>,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let mut life = self.shared.life.lock();
        while life.threads.alive > 0 {
            if is_over() {
                return false;
            }
            if !wait_deadline(&self.shared.thread_ended, &mut life, deadline) {
                return life.threads.alive == 0;
            }
        }
        true
    }

    /// Joins the threads, which are about to end, so that their local destructors have run too.
    pub(super) fn join_threads(&self) {
        let threads = mem::take(&mut self.shared.life.lock().threads.handles);
        for thread in threads {
            // The last owner of the pool may be a local value of one of its threads, which is dropped
            // when that thread has ceased to be a worker.
            if thread.thread().id() != std::thread::current().id() {
                // A worker contains every panic of foreign code, so this is never an error.
                let _ = thread.join();
            }
        }
    }

    /// Lets the threads go: they end by themselves, and nobody joins them.
    pub(super) fn detach_threads(&self) {
        drop(mem::take(&mut self.shared.life.lock().threads.handles));
    }
}
