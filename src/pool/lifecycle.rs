//! How a pool ends.
//!
//! | state | event | next |
//! |---|---|---|
//! | open | any shutdown, `set` of the pool's event, drop | closing, with that mode |
//! | closing | a stronger mode | closing, with the stronger mode |
//! | closing | nothing is outstanding | finished: the workers end |
//!
//! # Nothing is lost
//!
//! A task is accepted by one exchange in the ledger and then pushed. Closing shuts the ledger's door,
//! marks the idle word, fences, and then takes what is in the queue. A submitter that was accepted
//! before the door was shut pushes, fences, and looks at the idle word. By the fences either the
//! closer finds the task in the queue, or the submitter sees the mark and does the closer's work for
//! what it pushed ([`Core::pushed_while_closing`]).
//!
//! # When it is finished
//!
//! When nothing is outstanding and nothing can be submitted any more. While a pool drains, running
//! tasks may still submit, so the door is shut for good in one exchange that succeeds only if nothing
//! was accepted since the count was taken. Whoever ends the last task looks: a worker when it finds
//! the queue empty, a canceller after its cancel, a closer after it has taken the queue.
//!
//! # Locks
//!
//! `life` before the queue's front before the ledger's book. No foreign code runs under any of them.

use super::hooks::Hooks;
use super::queue::All;
use super::shared::{Core, Shared};
use crate::report::Shutdown;
use crate::report::ledger::Door;
use crate::stop::wait::Registration;
use crate::stop::{StopCause, StopEvent};
use crate::sync::{Arc, Ordering, wait_deadline};
use crate::task::cell::TaskRef;
use crate::task::context::contained;
use crate::task::group::{GroupRef, Sort};
use crate::task::home::Home;
use crate::task::life::{self, Doomed};
use crate::task::no_pool;
use crate::task::slab::SlabRef;
use crate::task::trace;
use std::mem;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct Life {
    pub(super) mode: Option<Shutdown>,
    /// Why pending tasks never start, once they never do.
    cause: Option<StopCause>,
    /// How many worker threads may still call the user's hooks.
    serving: usize,
    /// How many worker threads have not ended.
    alive: usize,
    threads: Vec<JoinHandle<()>>,
    /// Whether the pool has not been dropped.
    owned: bool,
    /// Listens for the event that the pool stops with.
    registration: Option<Registration>,
    /// Who is to be woken when the last thread has ended.
    wakers: Vec<Waker>,
}

/// What is given up when the threads have ended: to be dropped when no lock is held.
type Last = (Option<Arc<Hooks>>, Option<Registration>);

impl Life {
    /// The threads have ended.
    fn leave(&mut self, shared: &Shared) -> Last {
        let hooks = if self.owned {
            None
        } else {
            shared.hooks.lock().take()
        };
        (hooks, self.registration.take())
    }

    pub(super) fn new() -> Self {
        Life {
            mode: None,
            cause: None,
            serving: 0,
            alive: 0,
            threads: Vec::new(),
            owned: true,
            registration: None,
            wakers: Vec::new(),
        }
    }
}

/// Tasks that a shutdown has doomed. Their closures are to be dropped when no lock is held, and
/// everyone has been told who has to be.
#[must_use = "the closures have to be dropped"]
pub(super) struct Fallen {
    /// How many there are.
    count: usize,
    /// Those with whom something is left to do.
    doomed: Vec<Doomed>,
    cause: StopCause,
    /// What else was in the queue, to be dropped when no lock is held.
    _rest: (Vec<TaskRef>, Vec<SlabRef>),
}

impl Fallen {
    /// Wakes all who wait.
    fn tell(&self) {
        for doomed in &self.doomed {
            doomed.tell();
        }
    }

    pub(super) fn drop_closures(self) {
        for doomed in self.doomed {
            doomed.drop_closure();
        }
    }
}

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
    scoped: Vec<Doomed>,
    /// Groups of which the workers have some to drop: one may wait for it.
    groups: Vec<GroupRef>,
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
    /// Begins or strengthens a shutdown, takes from the queue what will never start, and wakes those
    /// who wait for it.
    pub(super) fn close(&self, home: &Home, mode: Shutdown, cause: &StopCause) -> Fallen {
        let fallen = {
            let mut life = self.life.lock();
            self.close_locked(&mut life, home, mode, cause)
        };
        self.settle(home, &fallen);
        fallen
    }

    /// As [`close`](Self::close), but leaves the drops of the closures to a worker.
    pub(super) fn close_and_leave(&self, home: &Home, mode: Shutdown, cause: &StopCause) -> Left {
        let (fallen, tell, left) = {
            let mut life = self.life.lock();
            let mut fallen = self.close_locked(&mut life, home, mode, cause);
            let tell: Vec<_> = fallen.doomed.iter().filter_map(Doomed::listened).collect();
            let (scoped, others) = life::part_scoped(mem::take(&mut fallen.doomed));
            // Under the lock of `life`, so that no worker ends in between.
            let groups = self.dig(others);
            (fallen, tell, Left { scoped, groups })
        };
        for doomed in tell {
            doomed.tell();
        }
        trace::never_started(fallen.count, &fallen.cause);
        self.give_back(fallen.count);
        self.check_finished(home);
        self.idle.wake_all();
        left
    }

    fn close_locked(
        &self,
        life: &mut Life,
        home: &Home,
        mode: Shutdown,
        cause: &StopCause,
    ) -> Fallen {
        let takes = mode >= Shutdown::CancelPending;
        life.mode = life.mode.max(Some(mode));
        if takes && life.cause.is_none() {
            life.cause = Some(cause.clone());
        }
        home.ledger.close(match mode {
            Shutdown::Drain => Door::Inside,
            Shutdown::CancelPending => Door::Scopes,
            Shutdown::StopAll => Door::Closed,
        });
        self.idle.close();
        if let Some(capacity) = &self.capacity {
            capacity.close();
        }
        if takes {
            self.doom_pending(home, cause, mode == Shutdown::StopAll)
        } else {
            Fallen {
                count: 0,
                doomed: Vec::new(),
                cause: cause.clone(),
                _rest: (Vec::new(), Vec::new()),
            }
        }
    }

    /// Takes everything out of the queue, and dooms what is pending. Unless `all` goes, what belongs to
    /// scopes of running tasks stays: they are to finish.
    fn doom_pending(&self, home: &Home, cause: &StopCause, all: bool) -> Fallen {
        let _emptying = self.emptying.lock();
        let frozen = self.queue.freeze(&home.ledger);
        let All { tasks, slabs } =
            frozen.take_all(&home.ledger, |sort| !all && sort == Sort::Inside);
        let mut others = Vec::new();
        let (count, doomed) = life::doom_all(home, tasks, cause, &mut others);
        Fallen {
            count,
            doomed,
            cause: cause.clone(),
            _rest: (others, slabs),
        }
    }

    /// Empties the queue without shutting down.
    pub(super) fn cancel_pending(&self, home: &Home, cause: &StopCause) -> usize {
        let fallen = self.doom_pending(home, cause, false);
        let count = fallen.count;
        self.settle(home, &fallen);
        fallen.drop_closures();
        count
    }

    /// Hands back what is pending, but for the members of scopes.
    pub(super) fn take_pending(&self, home: &Home) -> Vec<TaskRef> {
        let emptying = self.emptying.lock();
        let frozen = self.queue.freeze(&home.ledger);
        let All { tasks, slabs } = frozen.take_all(&home.ledger, |_| true);
        let mut others = Vec::new();
        let taken = life::take_all(home, tasks, &mut others);
        drop(emptying);
        drop((others, slabs));
        self.give_back(taken.len());
        if self.idle.is_closing() {
            self.check_finished(home);
        }
        taken
    }

    /// What has to be done for tasks that were taken out of the queue, before their closures are
    /// dropped.
    fn settle(&self, home: &Home, fallen: &Fallen) {
        fallen.tell();
        trace::never_started(fallen.count, &fallen.cause);
        self.give_back(fallen.count);
        if self.idle.is_closing() {
            self.check_finished(home);
        }
    }

    fn give_back(&self, room: usize) {
        if let Some(capacity) = &self.capacity {
            capacity.release(room);
        }
    }

    /// Ends the workers if nothing is outstanding and nothing will be. Called while closing.
    pub(super) fn check_finished(&self, home: &Home) {
        {
            let life = self.life.lock();
            if life.mode.is_none() || !home.ledger.close_if_done() {
                return;
            }
            // Release: partner is the Acquire in `may_end`.
            self.finished.store(true, Ordering::Release);
        }
        self.idle.wake_all();
    }

    /// Lets the workers, too, drop what was left to these: whoever is to close them may wait for such a drop before.
    fn dig_for_scopes(&self, scopes: Vec<GroupRef>) {
        if scopes.is_empty() {
            return;
        }
        {
            let life = self.life.lock();
            if life.serving > 0 {
                let mut graveyard = self.graveyard.lock();
                graveyard.extend(scopes.into_iter().map(Grave::Scope));
                // Release: as in `dig`.
                self.graves.store(graveyard.len(), Ordering::Release);
            }
        }
        self.idle.notify();
    }

    /// Leaves closures to the workers. The groups to which some of them belong are to be poked.
    fn dig(&self, doomed: Vec<Doomed>) -> Vec<GroupRef> {
        let groups = life::groups_of(&doomed);
        let mut graveyard = self.graveyard.lock();
        graveyard.extend(doomed.into_iter().map(Grave::Task));
        // Release: partner is the Acquire in `has_graves`.
        self.graves.store(graveyard.len(), Ordering::Release);
        groups
    }

    /// Leaves the drops of closures to a worker, if there is one.
    pub(super) fn bury(&self, doomed: Vec<Doomed>) {
        let (scoped, others) = life::part_scoped(doomed);
        let left = {
            let life = self.life.lock();
            if life.serving > 0 {
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
        // Acquire: partner is the Release in `dig`.
        self.graves.load(Ordering::Acquire) > 0
    }

    /// Whether a worker may end: nothing is outstanding, nothing will be, and nothing is left to be
    /// dropped.
    pub(super) fn may_end(&self) -> bool {
        // Acquire: partner is the Release in `check_finished`. A graveyard that is filled later is left to
        // the last one, in `thread_ended`.
        self.finished.load(Ordering::Acquire)
            // Acquire: partner is the Release in `let_be`. In this order: what is no longer held has been left.
            && self.holds.load(Ordering::Acquire) == 0
            && !self.has_graves()
    }

    /// Whether a worker that has nothing to run still has something to do.
    pub(super) fn has_last_duties(&self) -> bool {
        // Acquire: as in `may_end`.
        self.finished.load(Ordering::Acquire) || self.has_graves()
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

    pub(super) fn thread_started(&self) {
        let mut life = self.life.lock();
        life.serving += 1;
        life.alive += 1;
    }

    pub(super) fn thread_ended(&self, home: &Home) {
        let last = {
            let mut life = self.life.lock();
            life.serving -= 1;
            (life.serving == 0).then(|| life.leave(self))
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
            life.alive -= 1;
            let is_last = life.alive == 0;
            is_last.then(|| mem::take(&mut life.wakers))
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
            life.owned = false;
            (life.serving == 0).then(|| life.leave(self))
        };
        contained(|| drop(last));
    }

    /// Keeps the registration for as long as there are threads.
    pub(super) fn keep_registration(&self, registration: Registration) {
        let mut life = self.life.lock();
        if life.serving > 0 {
            life.registration = Some(registration);
        } else {
            drop(life);
            drop(registration);
        }
    }

    pub(super) fn keep_thread(&self, thread: JoinHandle<()>) {
        self.life.lock().threads.push(thread);
    }
}

impl Core {
    /// Why everything is to stop, if it is.
    pub(crate) fn stopping(&self) -> Option<StopCause> {
        let life = self.shared.life.lock();
        let is_stopping = life.mode == Some(Shutdown::StopAll);
        life.cause.clone().filter(|_| is_stopping)
    }

    /// A task was pushed, and the pool was found closing. If it is one that takes what is pending,
    /// the closer may have looked before the push: its work is done again. If nothing is outstanding any more, the task was
    /// doomed before it was pushed, and the workers may have looked at the queue for the last time: what is left there
    /// would keep the pool.
    #[cold]
    pub(super) fn pushed_while_closing(&self) {
        let shared = &self.shared;
        let (mode, cause, is_finished) = {
            let life = shared.life.lock();
            // Relaxed: it is set under this lock. If it is not yet, the push comes before, and a worker that sees it set
            // looks at the queue again before it ends.
            let is_finished = shared.finished.load(Ordering::Relaxed);
            (life.mode, life.cause.clone(), is_finished)
        };
        if let Some(cause) = cause {
            let all = mode == Some(Shutdown::StopAll);
            let fallen = shared.doom_pending(&self.home, &cause, all);
            shared.settle(&self.home, &fallen);
            fallen.drop_closures();
        }
        if is_finished {
            shared.queue.sweep(&self.home.ledger);
        }
    }

    /// Begins or strengthens a shutdown. Everyone who waits, and every running task that is to stop,
    /// has been told when this returns; what was pending is for the caller to drop.
    pub(super) fn begin(&self, mode: Shutdown, cause: &StopCause) -> Fallen {
        let Core { home, shared } = self;
        let fallen = shared.close(home, mode, cause);
        if mode == Shutdown::StopAll {
            home.node().raise(cause);
        }
        fallen
    }

    /// As [`begin`](Self::begin), and drops what was pending.
    pub(super) fn begin_and_bury(&self, mode: Shutdown, cause: &StopCause) {
        self.begin(mode, cause).drop_closures();
    }

    /// Begins or strengthens a shutdown; what was pending is dropped by a worker.
    pub(super) fn begin_and_leave(&self, mode: Shutdown, cause: &StopCause) {
        let Core { home, shared } = self;
        let left = shared.close_and_leave(home, mode, cause);
        if mode == Shutdown::StopAll {
            home.node().raise(cause);
        }
        // Only now: a scope that ends finds the event set.
        left.leave(shared);
    }

    /// Closes the pool, on a worker that has found the event set with which it stops. What listens
    /// at the pool's own event is told by whoever sets that one.
    #[cold]
    pub(super) fn heed(&self, event: &StopEvent, mode: Shutdown) {
        let Core { home, shared } = self;
        if shared.life.lock().mode >= Some(mode) {
            return;
        }
        if let Some(cause) = event.cause() {
            let left = shared.close_and_leave(home, mode, &cause);
            left.leave(shared);
        }
    }

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
        if life.alive == 0 {
            return true;
        }
        if !life.wakers.iter().any(|known| known.will_wake(&fresh)) {
            life.wakers.push(fresh);
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
        while life.alive > 0 {
            if is_over() {
                return false;
            }
            if !wait_deadline(&self.shared.thread_ended, &mut life, deadline) {
                return life.alive == 0;
            }
        }
        true
    }

    /// Joins the threads, which are about to end, so that their local destructors have run too.
    pub(super) fn join_threads(&self) {
        let threads = mem::take(&mut self.shared.life.lock().threads);
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
        drop(mem::take(&mut self.shared.life.lock().threads));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::ThreadPool;
    use super::super::queue::tests::lengths;
    use super::super::shared::tests::core;
    use super::*;
    use crate::stop::StopReason;
    use crate::stop::listeners::Listen;
    use crate::stop::parker::Parker;
    use std::panic::Location;
    use std::sync::mpsc;

    fn cause() -> StopCause {
        StopCause::now(StopReason::Shutdown)
    }

    /// As when it is stopped with its group between its admission and its push, and the workers end in between.
    #[test]
    fn a_task_that_was_doomed_before_it_is_pushed_does_not_stay_in_a_pool_that_has_ended() {
        let core = core(1);
        core.submit(None, (), |_| ()).cancel();
        core.begin_and_bury(Shutdown::Drain, &cause());
        assert_eq!(lengths(&core.shared.queue), (0, 1));
        core.pushed_while_closing();
        assert_eq!(lengths(&core.shared.queue), (0, 0));
    }

    /// Or nobody would come to drop it.
    #[test]
    fn nothing_is_left_to_a_pool_without_threads() {
        let core = core(1);
        let (home, shared) = (core.node(), &core.shared);
        let scope = || {
            GroupRef::new(
                Sort::Outside,
                home.clone(),
                Vec::new(),
                None,
                Location::caller(),
            )
        };
        shared.dig_for_scopes(vec![scope()]);
        assert!(!shared.has_graves());
        shared.thread_started();
        shared.dig_for_scopes(vec![scope()]);
        assert!(shared.has_graves());
        shared.thread_ended(&core.home);
        assert!(!shared.has_graves());
    }

    #[test]
    fn a_pool_without_threads_listens_to_nobody() {
        let core = core(1);
        let event = StopEvent::new();
        let listener: Arc<dyn Listen> = Arc::new(Parker::new());
        let keep = || {
            let node = event.node().unwrap();
            let registration = Registration::on_chain(node, &listener).unwrap();
            core.shared.keep_registration(registration);
        };
        keep();
        assert_eq!(Arc::strong_count(&listener), 1);
        core.shared.thread_started();
        keep();
        assert_eq!(Arc::strong_count(&listener), 2);
        core.shared.thread_ended(&core.home);
        assert_eq!(Arc::strong_count(&listener), 1);
    }

    /// Whoever was let in before the door was closed, and pushes when it has been, does the closer's work: that
    /// of its mode.
    #[test]
    fn members_of_a_scope_stay_pending_when_somebody_pushes_while_what_is_pending_is_cancelled() {
        let pool = ThreadPool::new(1);
        let submitter = pool.submitter();
        let (opened, is_opened) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let opener = pool.submit(move |_| {
            let scope = submitter.scope(|scope| {
                let early = scope.submit(|_| 1);
                opened.send(()).unwrap();
                may_go_on.recv().unwrap();
                let late: Vec<_> = (2..5).map(|n| scope.submit(move |_| n)).collect();
                opened.send(()).unwrap();
                may_go_on.recv().unwrap();
                let tasks = [early].into_iter().chain(late);
                tasks.map(|task| task.join().unwrap()).sum::<i32>()
            });
            scope.unwrap()
        });
        is_opened.recv().unwrap();
        pool.core.begin_and_bury(Shutdown::CancelPending, &cause());
        pool.core.pushed_while_closing();
        let (front, _) = lengths(&pool.core.shared.queue);
        go_on.send(()).unwrap();
        is_opened.recv().unwrap();
        // To take the queue apart for each of them would take ever longer.
        assert_eq!(lengths(&pool.core.shared.queue), (front, 3));
        go_on.send(()).unwrap();
        assert_eq!(opener.join().unwrap(), 1 + 2 + 3 + 4);
    }
}
