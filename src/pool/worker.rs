//! A worker: it claims tasks and runs them, and when one of them waits for another task of the pool
//! that has not started, it runs that one on the spot.
//!
//! # Deep joins
//!
//! A chain of tasks, each of which joins the next, is run by one worker as nested calls. Stack is
//! finite, so a worker that has used more than half of its own runs the next task of the chain on a
//! *spare* thread with a fresh stack, and sleeps until it has. The spare thread acts for the worker:
//! it counts in the same lane and shows its tasks at the same post, one of the two at a time. So at
//! most as many threads run as the pool has, however many have to wait for them.
//!
//! # Circles
//!
//! A worker that must sleep looks first whether that would ever end: see `circles.rs`.

use super::circles::Picture;
use super::queue::Work;
use super::runs::{Passing, Run};
use super::shared::Core;
use crate::report::ledger::Lane;
use crate::report::tick::Tick;
use crate::report::{Shutdown, TaskId};
use crate::stop::StopEvent;
use crate::stop::node::NodeRef;
use crate::sync::{Arc, Mutex, spin_loop, thread_locals};
use crate::task::cell::TaskRef;
use crate::task::context::{self, Awaited, Circle, Worker, contained};
use crate::task::home::Home;
use crate::task::life::{self, Claimed};
use crate::task::slab::SlabRef;
use crate::task::slot::Slot;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::thread;
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
                    idle.found(|| !queue.is_empty());
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

    /// Runs a task inside another one that waits for it.
    fn run_inside(&self, task: &TaskRef) {
        let core = &self.core;
        self.heed();
        // The task that waits for this one may wait for such a drop next.
        self.tend();
        let Some(claimed) = core.shared.queue.claim_one(self.lane(), task) else {
            return;
        };
        // It stays in the queue as a husk; its room, if that is counted, is given back with it.
        use crate::task::home::Host;
        let husks = core.home.ledger.book().count_husk();
        core.shared.left_queue(&core.home, husks);
        let post = self.post();
        let outer = post.slot.look().map(|task| (task, post.slot.since()));
        post.outer.lock().extend(outer.clone());
        claimed.run(self.lane(), &post.slot);
        if let Some((_, since)) = outer {
            post.slot.set_since(since);
            let popped = post.outer.lock().pop();
            drop(popped);
        }
    }

    /// Runs a task inside another one, on a fresh stack. False: there was none to be had.
    fn run_on_spare(&self, task: &TaskRef) -> bool {
        let acting = (self.core.clone(), self.lane, self.stop_with.clone());
        let task = task.clone();
        let name = thread::current().name().unwrap_or_default().to_owned();
        let builder = thread::Builder::new()
            .name(name)
            .stack_size(self.core.shared.stack_size);
        let spawned = builder.spawn(move || {
            let (core, lane, stop_with) = acting;
            let hooks = core.shared.hooks().unwrap_or_default();
            let acting = Rc::new(Acting::new(core.clone(), lane, stop_with));
            let _guard = enter_thread(Rc::clone(&acting));
            if let Some(hook) = &hooks.thread_start {
                contained(hook);
            }
            acting.run_inside(&task);
            if let Some(hook) = &hooks.thread_stop {
                contained(hook);
            }
        });
        // All foreign code is contained, so the thread ends without a panic.
        spawned.is_ok_and(|thread| thread.join().is_ok())
    }

    /// How much of this thread's stack is in use, in eighths.
    fn stack_eighths(&self) -> usize {
        let base = STACK_BASE.with(Cell::get);
        let used = base.abs_diff(address_of_stack());
        used.saturating_mul(8) / self.core.shared.stack_size.max(1)
    }
}

impl Worker for Acting {
    fn serves(&self, home: &Home) -> bool {
        std::ptr::eq(&*self.core.home, home)
    }

    fn help(&self, task: &TaskRef) -> Result<(), Circle> {
        let used = self.stack_eighths();
        if used < 4 || cfg!(loom) {
            self.run_inside(task);
            return Ok(());
        }
        if task.state().load().has_begun() || self.run_on_spare(task) {
            return Ok(());
        }
        if used < 6 {
            self.run_inside(task);
            return Ok(());
        }
        // Neither stack nor thread: to wait might be for ever, if all workers are here.
        Err(Circle(Vec::new()))
    }

    fn block(&self, awaited: Awaited, wait: &mut dyn FnMut()) -> Result<(), Circle> {
        let blocked = &self.core.shared.blocked;
        // To be dropped when the lock is not held.
        let stacks: Vec<_>;
        {
            let mut list = blocked.lock();
            stacks = self.core.shared.posts.iter().map(Post::shown).collect();
            if let Some(circle) = Picture::new(&list, &stacks).circle(self.lane, &awaited) {
                return Err(circle);
            }
            list.push((self.lane, awaited));
        }
        drop(stacks);
        wait();
        let removed = {
            let mut list = blocked.lock();
            let place = list.iter().position(|(lane, _)| *lane == self.lane);
            place.map(|place| list.swap_remove(place))
        };
        drop(removed);
        Ok(())
    }

    fn tend(&self) {
        let shared = &self.core.shared;
        if shared.has_graves() {
            shared.tend_graveyard();
        }
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
mod tests {
    use super::super::ThreadPool;
    use super::super::shared::tests::{clear, core, slab};
    use super::*;
    use crate::report::TaskStatus;
    use crate::sync::without;
    use crate::task::TaskHandle;
    use std::thread::ThreadId;

    const INSTANT: Duration = Duration::from_nanos(1);

    fn acting(core: &Core) -> Acting {
        Acting::new(core.clone(), 0, None)
    }

    /// A run of the batch that is first in the queue, as long as it may be.
    fn long_run(acting: &Acting, batch: TaskId) -> Run {
        acting.pace.set(Pace {
            most: Pace::MOST,
            batch: Some(batch),
        });
        match acting.next() {
            Some(Work::Run(run)) => run,
            _ => panic!("a run comes first"),
        }
    }

    #[test]
    fn runs_grow_while_they_are_short() {
        let core = core(1);
        let [(one, _ones), (other, _others)] = [(); 2].map(|()| slab(&core, 2));
        let run = Run {
            range: 0..1,
            slab: one,
        };
        let mut pace = Pace::default();
        let grown = [(); 8].map(|()| {
            let most = pace.most_of(&run.slab);
            pace = pace.after(&run, Pace::SHORT - INSTANT);
            most
        });
        assert_eq!(grown, [1, 2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(pace.most_of(&other), 1, "of each batch one at first");
        let pace = Pace { most: 8, ..pace };
        let after = |took| pace.after(&run, took).most_of(&run.slab);
        assert_eq!(after(Pace::SHORT - INSTANT), 16);
        assert_eq!(after(Pace::SHORT), 8);
        assert_eq!(after(4 * Pace::SHORT - INSTANT), 8);
        assert_eq!(after(4 * Pace::SHORT), 1);
    }

    #[test]
    fn a_searcher_finds_what_is_there() {
        let core = core(1);
        let acting = acting(&core);
        assert!(!acting.search());
        let _handle = core.submit(None, (), |_| ());
        assert!(acting.search());
        clear(&core);
    }

    /// Who sets the event has not come to telling the pool of it.
    #[test]
    fn nothing_of_a_run_begins_after_the_pools_event_was_set() {
        let core = core(1);
        let event = StopEvent::new();
        let stop_with = Some((event.clone(), Shutdown::CancelPending));
        let acting = Acting::new(core.clone(), 0, stop_with);
        let set = |_| {
            let event = event.clone();
            move |_: &StopEvent| assert!(event.set())
        };
        let handles = core.submit_all((0..8).map(set));
        let run = long_run(&acting, handles[0].id());
        assert_eq!(run.range, 0..4);
        acting.walk(&run);
        let statuses = handles.iter().map(TaskHandle::status);
        assert!(
            statuses.eq([TaskStatus::Completed]
                .into_iter()
                .chain([TaskStatus::NeverStarted; 7]))
        );
        acting.tend();
    }

    #[test]
    fn husks_that_a_worker_walks_over_are_no_longer_counted() {
        let core = core(1);
        let acting = acting(&core);
        let handles = core.submit_all((0..8).map(|n| move |_: &StopEvent| n));
        for task in &handles[1..3] {
            task.cancel();
        }
        let husks = || {
            let mut book = core.home.ledger.book();
            let husks = book.count_husk() - 1;
            book.uncount_husks(1);
            husks
        };
        assert_eq!(husks(), 2);
        acting.walk(&long_run(&acting, handles[0].id()));
        assert_eq!(husks(), 0);
        clear(&core);
    }

    #[test]
    fn a_run_is_counted_without_the_lock() {
        let core = core(1);
        let handles = core.submit_all((0..8).map(|n| move |_: &StopEvent| n));
        let first = handles[0].id();
        without(core.home.ledger.book(), || {
            let acting = acting(&core);
            acting.walk(&long_run(&acting, first));
        });
        assert_eq!(core.home.ledger.stats().completed, 4);
        clear(&core);
    }

    /// What helping with a task came to, by a worker with so much of its stack in use and a little more, and on which
    /// thread the task ran, if it did.
    fn help(core: &Core, eighths: usize) -> (bool, Option<ThreadId>) {
        let handle = core.submit(None, (), |_| thread::current().id());
        let in_use = core.shared.stack_size / 16 * (2 * eighths + 1);
        STACK_BASE.with(|base| base.set(address_of_stack() + in_use));
        let helped = acting(core).help(handle.task()).is_ok();
        clear(core);
        (helped, handle.join().ok())
    }

    #[test]
    fn who_has_used_half_of_its_stack_helps_on_a_spare_thread() {
        let core = ThreadPool::builder().stack_size(1 << 20).core(1, None);
        let here = thread::current().id();
        for eighths in 0..8 {
            let (helped, thread) = help(&core, eighths);
            assert!(helped);
            assert_eq!(thread == Some(here), eighths < 4, "{eighths}");
        }
    }

    #[test]
    fn without_a_spare_thread_a_quarter_of_the_stack_is_left() {
        // No system has room for that.
        let core = ThreadPool::builder()
            .stack_size(usize::MAX / 16)
            .core(1, None);
        let here = thread::current().id();
        for eighths in 0..8 {
            let is_room = eighths < 6;
            assert_eq!(help(&core, eighths), (is_room, is_room.then_some(here)));
        }
    }
}
