//! A worker: it claims tasks and runs them, and when one of them waits for another task of the pool
//! that has not started, it runs that one on the spot (`worker/inside.rs`). It is one thread's own at a time, but for its
//! [`Post`], at which others look.

mod inside;

use super::queue::Work;
use super::runs::{Passing, Run};
use super::shared::Core;
use crate::report::lane::Lane;
use crate::report::tick::Tick;
use crate::report::{Shutdown, TaskId};
use crate::stop::StopEvent;
use crate::stop::node::NodeRef;
use crate::sync::{Arc, Mutex, spin_loop, thread_locals};
use crate::task::cell::TaskRef;
#[cfg(all(test, loom))]
use crate::task::context::Worker;
use crate::task::context::{self, contained};
use crate::task::life::{self, Claimed};
use crate::task::slab::SlabRef;
use crate::task::slot::Slot;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How often a searcher looks at the queue before it sleeps: some microseconds. It does not yield
/// between: a searcher that is off its core still counts as one, and keeps others asleep.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 200 };

thread_locals! {
    /// Where this worker thread's stack begins.
    static STACK_BASE: Cell<usize> = const { Cell::new(0) };
}

/// What a worker shows of itself to others.
#[derive(Debug)]
pub(crate) struct Post {
    slot: Slot,
    /// The tasks that wait, further up the worker's stack, for the one in the slot; and since when each
    /// runs, if that is known.
    outer: Mutex<Vec<Shown>>,
}

/// A task that a worker runs, and since when, if that is known.
pub(super) type Shown = (TaskRef, Option<Tick>);

impl Post {
    pub(super) fn new(is_timed: bool) -> Self {
        Post {
            slot: Slot::new(is_timed),
            outer: Mutex::new(Vec::new()),
        }
    }

    /// How many tasks of this worker wait for the one that it runs.
    #[cfg(feature = "timeline")]
    pub(super) fn depth(&self) -> u32 {
        u32::try_from(self.outer.lock().len()).unwrap_or(u32::MAX)
    }

    /// The tasks that this worker is running.
    pub(super) fn tasks(&self) -> Vec<Shown> {
        let mut tasks = self.shown();
        tasks.retain(|(task, _)| !task.state().load().is_done());
        tasks
    }

    /// As [`tasks`](Self::tasks); one may have ended, as this drops none.
    fn shown(&self) -> Vec<Shown> {
        let mut tasks = self.outer.lock().clone();
        if let Some(task) = self.slot.look() {
            if !tasks.iter().any(|(other, _)| other.same(&task)) {
                tasks.push((task, self.slot.since()));
            }
        }
        tasks
    }
}

/// How many tasks of a batch a worker takes at once: of each batch one at first, and more while they are
/// short, so that what taking them costs is shared by many.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    most: u32,
    /// The batch that it is about.
    batch: Option<TaskId>,
}

impl Pace {
    const MOST: u32 = 64;
    /// A run that took less than this may be twice as long next time.
    const SHORT: Duration = Duration::from_micros(4);

    fn most_of(self, slab: &SlabRef) -> u32 {
        if self.batch == Some(slab.batch()) {
            self.most
        } else {
            1
        }
    }

    /// The pace after a run that took so long.
    fn after(self, run: &Run, took: Duration) -> Pace {
        let most = self.most_of(&run.slab);
        let most = if took < Pace::SHORT {
            (most * 2).min(Pace::MOST)
        } else if took < 4 * Pace::SHORT {
            most
        } else {
            1
        };
        Pace {
            most,
            batch: Some(run.slab.batch()),
        }
    }
}

/// A thread that acts for one of the pool's workers.
struct Acting {
    core: Core,
    lane: usize,
    pace: Cell<Pace>,
    passing: Cell<Passing>,
    stop_with: StopWith,
    /// Whether that event was found set.
    has_heeded: Cell<bool>,
}

/// The event with which a pool stops, and how. Its workers hold it, and not what they share, which may outlive
/// them: a task's handle is not to keep the event.
pub(super) type StopWith = Option<(StopEvent, Shutdown)>;

impl Acting {
    fn new(core: Core, lane: usize, stop_with: StopWith) -> Acting {
        Acting {
            core,
            lane,
            pace: Cell::default(),
            passing: Cell::default(),
            stop_with,
            has_heeded: Cell::new(false),
        }
    }

    fn lane(&self) -> &Lane {
        self.core.home.ledger.lane(self.lane)
    }

    fn post(&self) -> &Post {
        &self.core.shared.posts[self.lane]
    }

    /// Claims and runs tasks until the pool is finished.
    fn work(&self) {
        while let Some(work) = self.next() {
            match work {
                Work::Task(claimed) => self.run(claimed),
                Work::Run(run) => self.walk(&run),
            }
        }
    }

    /// Claims and runs the tasks of a run, one after the other.
    fn walk(&self, run: &Run) {
        let Core { home, shared } = &self.core;
        let queue = &shared.queue;
        let began = Instant::now();
        let mut husks = 0;
        let (slot, lane, cells) = (&self.post().slot, self.lane(), run.slab.cells());
        let mut walk = || {
            for index in run.range.clone() {
                if index > run.range.start {
                    // First: a task to which this worker has come is out of a closer's reach.
                    self.heed();
                    if !queue.come_to(self.lane, index) {
                        queue.end_run(self.lane);
                        break;
                    }
                }
                lane.begin();
                let claimed = life::claim_lent(cells.lend(index));
                lane.leave(claimed.is_ok());
                if index + 1 == run.range.end {
                    // Nobody need look for more in it while the last one runs.
                    queue.end_run(self.lane);
                }
                match claimed {
                    Ok(claimed) => {
                        slot.turn_to(index);
                        self.make_room();
                        claimed.run_shown(lane, slot);
                    }
                    Err(task) => husks += usize::from(task.is_husk()),
                }
            }
        };
        slot.turn_to(run.range.start);
        slot.showing_slab(&run.slab, &mut walk);
        if husks > 0 {
            home.ledger.book().uncount_husks(husks);
        }
        self.pace.set(self.pace.get().after(run, began.elapsed()));
    }

    /// A task has left the queue.
    fn make_room(&self) {
        if let Some(capacity) = &self.core.shared.capacity {
            capacity.release(1);
        }
    }

    fn run(&self, claimed: Claimed) {
        self.make_room();
        claimed.run(self.lane(), &self.post().slot);
    }

    /// If the pool stops with an event which is set, it is closed now, though who sets the event has yet to
    /// come to it: what ran before on this worker may have seen it set, and nothing is to begin after that.
    #[inline]
    fn heed(&self) {
        if let Some((event, mode)) = &self.stop_with {
            if !self.has_heeded.get() && event.node().is_some_and(NodeRef::reads_set) {
                self.has_heeded.set(true);
                self.core.heed(event, *mode);
            }
        }
    }

    /// The next task, for as long as it takes. `None`: the worker may end.
    fn next(&self) -> Option<Work> {
        let shared = &self.core.shared;
        let ledger = &self.core.home.ledger;
        let lane = (self.lane, self.lane());
        let (idle, queue) = (&shared.idle, &shared.queue);
        let mut searching = false;
        loop {
            self.heed();
            if shared.has_graves() {
                shared.tend_graveyard();
            }
            let pace = self.pace.get();
            let most = |slab: &SlabRef| pace.most_of(slab);
            let mut passing = self.passing.get();
            // As after a push, whose submitter may have relied on a worker that was about to look.
            let opened = || {
                idle.notify();
            };
            let work = queue.next(lane, most, &mut passing, ledger, opened);
            self.passing.set(passing);
            if let Some(work) = work {
                if searching {
                    // Or somebody has left something to the workers, and relied on this one.
                    idle.found(|| !queue.is_empty() || shared.has_graves());
                }
                return Some(work);
            }
            if idle.is_closing() {
                shared.check_finished(&self.core.home);
                if shared.may_end() && queue.is_empty() {
                    if searching {
                        idle.found(|| false);
                    }
                    return None;
                }
            }
            searching = searching || idle.start_searching();
            if searching && self.search() {
                continue;
            }
            idle.sleep(self.lane, searching, || {
                !queue.is_empty() || shared.has_last_duties()
            });
            searching = true;
        }
    }

    /// Looks at the queue for some microseconds. Says whether there is something.
    fn search(&self) -> bool {
        let queue = &self.core.shared.queue;
        for _ in 0..LOOKS {
            if !queue.is_empty() {
                return true;
            }
            spin_loop();
        }
        false
    }
}

#[inline(never)]
fn address_of_stack() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here) as usize
}

/// Makes the thread one that acts for a worker, until the guard is dropped.
fn enter_thread(acting: Rc<Acting>) -> context::WorkerGuard {
    STACK_BASE.with(|base| base.set(address_of_stack()));
    context::work_for(acting)
}

/// What a worker thread tells the builder, once: that it is ready, or that its start hook panicked.
pub(super) type Ready = Result<(), crate::task::cell::Payload>;

/// The life of a worker thread.
pub(super) fn main(core: Core, lane: usize, stop_with: StopWith, ready: Sender<Ready>) {
    /// Says that the thread has ended, whatever happened to it.
    struct Ended(Core);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.shared.thread_ended(&self.0.home);
        }
    }
    let ended = Ended(core.clone());
    let acting = Rc::new(Acting::new(core, lane, stop_with));
    let guard = enter_thread(Rc::clone(&acting));
    let hooks = acting.core.shared.hooks().unwrap_or_default();
    let started = hooks.thread_start.as_ref().map_or(Ok(()), |hook| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(hook))
    });
    let failed = started.is_err();
    // The builder waits for every message, so it is there.
    let _ = ready.send(started);
    drop(ready);
    if !failed {
        acting.work();
        if let Some(hook) = &hooks.thread_stop {
            contained(hook);
        }
    }
    drop(hooks);
    drop(guard);
    // It may be the last owner of the event that the pool stops with.
    contained(|| drop(acting));
    drop(ended);
}

/// The work of a worker thread, for models that start their own threads.
#[cfg(all(test, loom))]
pub(super) fn work(core: Core, lane: usize, stop_with: StopWith) {
    let acting = Rc::new(Acting::new(core, lane, stop_with));
    let _guard = context::work_for(Rc::clone(&acting) as Rc<dyn Worker>);
    acting.work();
}

/// A worker is shared between threads through its post only.
const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Post>();
    is_send_and_sync::<Arc<Core>>();
};

#[cfg(all(test, not(loom)))]
mod tests;
