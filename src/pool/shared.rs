//! What the workers, the submitters and the owner of a pool share.

use super::capacity::Capacity;
use super::circles::Blocked;
use super::graves::Grave;
use super::hooks::{Hooks, UnhandledPanic};
use super::idle::Idle;
use super::lifecycle::Life;
use super::queue::Queue;
#[cfg(feature = "timeline")]
use super::recorder::{Recorder, Run};
use super::worker::Post;
#[cfg(feature = "timeline")]
use crate::report::tick::Tick;
use crate::report::{Shutdown, TaskId};
#[cfg(feature = "timeline")]
use crate::report::{TaskStatus, lane::Lane};
use crate::stop::StopCause;
use crate::stop::node::NodeRef;
use crate::stop::timer::on_timer_thread;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Condvar, Mutex, Ordering, fence};
#[cfg(feature = "timeline")]
use crate::task::cell::TaskRef;
use crate::task::home::{Home, HomeRef, Host, home_of};
use crate::task::life::Doomed;
use std::any::Any;
use std::fmt;

pub(crate) struct Shared {
    pub(super) name: Option<Arc<str>>,
    pub(super) stack_size: usize,
    /// Whether it is looked when tasks are submitted, start and end.
    pub(super) stamps: bool,
    #[cfg(feature = "timeline")]
    pub(super) recorder: Option<Recorder>,
    /// Given up with the pool and its last thread, so that what they captured does not live as long
    /// as a handle.
    pub(super) hooks: Mutex<Option<Arc<Hooks>>>,
    pub(super) queue: Queue,
    /// Held from when tasks are taken out of the queue until each is doomed or handed back, so that who
    /// finds the queue empty does not find them pending still.
    pub(super) emptying: Mutex<()>,
    pub(super) idle: Idle,
    pub(super) capacity: Option<Capacity>,
    /// What each worker shows of itself.
    pub(super) posts: Box<[Post]>,
    /// The workers that sleep until something has happened, and what. See `circles.rs`.
    pub(super) blocked: Mutex<Vec<Blocked>>,
    pub(super) life: Mutex<Life>,
    /// A worker thread has ended.
    pub(super) thread_ended: Condvar,
    /// Nothing is outstanding and nothing will be: the workers may end. Set under `life`'s lock.
    pub(super) finished: AtomicBool,
    /// How many tasks may be about to be left to the workers.
    pub(super) holds: AtomicUsize,
    /// How many there are in the graveyard: to be looked at without the lock.
    pub(super) graves: AtomicUsize,
    /// Closures that a worker is to drop.
    pub(super) graveyard: Mutex<Vec<Grave>>,
}

impl Host for Shared {
    fn left_queue(&self, home: &Home, husks: usize) {
        if let Some(capacity) = &self.capacity {
            capacity.release(1);
        }
        self.queue.note_husks(husks, &home.ledger);
        if self.idle.is_closing() {
            self.check_finished(home);
        }
    }

    fn hold(&self) {
        // Relaxed: the task is pending, and has yet to be counted as doomed, under the ledger's lock: who finds then that
        // nothing is outstanding sees this.
        self.holds.fetch_add(1, Ordering::Relaxed);
    }

    fn let_be(&self) {
        // Relaxed: see `Shared::is_over`.
        self.holds.fetch_sub(1, Ordering::Relaxed);
        // Partner: the fence in `Idle::close`. Either who closes, and so the worker that is told of the end, sees that nothing
        // is held, or we see the mark and wake the worker.
        fence(Ordering::SeqCst);
        if self.idle.is_closing() {
            self.idle.wake_all();
        }
    }

    fn leave(&self, _home: &Home, doomed: Doomed) {
        self.bury(vec![doomed]);
        self.let_be();
    }

    fn stop(&self, home: &Home, cause: &StopCause, raise: &mut dyn FnMut()) {
        // First what is pending, or a task that ends at once would let a worker take from it.
        if on_timer_thread() {
            let left = self.close_and_leave(home, Shutdown::StopAll, cause);
            raise();
            left.leave(self);
            return;
        }
        let fallen = self.close(home, Shutdown::StopAll, cause);
        raise();
        fallen.drop_closures();
    }

    #[cfg(feature = "timeline")]
    fn record(&self, home: &Home, task: &TaskRef, status: TaskStatus, run: Option<(&Lane, Tick)>) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let run = run.and_then(|(lane, started)| {
            let lane = home.ledger.index_of(lane)?;
            Some(Run {
                lane,
                depth: self.posts[lane].depth(),
                started: Some(started),
            })
        });
        recorder.record(task, status, run);
    }

    fn unhandled_panic(&self, id: TaskId, name: Option<&str>, payload: &(dyn Any + Send)) {
        let hooks = self.hooks();
        if let Some(hook) = hooks
            .as_ref()
            .and_then(|hooks| hooks.unhandled_panic.as_ref())
        {
            hook(&UnhandledPanic::new(id, name, payload));
        }
    }
}

impl Shared {
    /// The user's hooks, while there are threads.
    pub(super) fn hooks(&self) -> Option<Arc<Hooks>> {
        self.hooks.lock().clone()
    }
}

/// A pool as its users, its workers and its owner hold it.
#[derive(Clone)]
pub(crate) struct Core {
    pub(super) home: HomeRef,
    pub(super) shared: Arc<Shared>,
}

impl Core {
    /// The node that all tasks of the pool are under.
    pub(crate) fn node(&self) -> &NodeRef {
        self.home.node()
    }

    pub(crate) fn threads(&self) -> usize {
        self.shared.posts.len()
    }

    /// Whether that is a task of the pool.
    pub(crate) fn owns(&self, task: &NodeRef) -> bool {
        std::ptr::eq(home_of(task), &*self.home)
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("name", &self.shared.name)
            .field("threads", &self.shared.posts.len())
            .finish_non_exhaustive()
    }
}

/// What the tests of the pool's parts share.
#[cfg(all(test, not(loom)))]
pub(super) mod tests {
    use super::super::ThreadPool;
    use super::super::queue::All;
    use super::Core;
    use crate::stop::{StopCause, StopEvent, StopReason};
    use crate::task::TaskHandle;
    use crate::task::slab::SlabRef;

    /// A pool without threads: what its workers would do is done by the test.
    pub(crate) fn core(workers: usize) -> Core {
        ThreadPool::builder().core(workers, None)
    }

    /// Takes out of the queue what would keep the pool.
    pub(crate) fn clear(core: &Core) {
        let cause = StopCause::now(StopReason::Dropped);
        core.shared.cancel_pending(&core.home, &cause);
    }

    /// A batch of so many tasks that has just been taken out of the queue.
    pub(crate) fn slab(core: &Core, len: usize) -> (SlabRef, Vec<TaskHandle<()>>) {
        let handles = core.submit_all((0..len).map(|_| |_: &StopEvent| ()));
        let ledger = &core.home.ledger;
        let All { mut slabs, .. } = core.shared.queue.freeze(ledger).take_all(ledger, |_| false);
        let slab = slabs.pop().expect("one was submitted");
        assert_eq!(slab.len() as usize, len, "it fits into one");
        (slab, handles)
    }
}
