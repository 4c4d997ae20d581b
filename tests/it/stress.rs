//! A seeded random stress with exact accounting: whatever is submitted, cancelled, joined, dropped
//! and shut down in whatever order, every task ends in one known way, the report says which, and
//! every closure, result and panic payload is dropped exactly once.
//!
//! `STOPPABLE_STRESS_TASKS` is the number of tasks for each seed, `STOPPABLE_STRESS_SEEDS` the
//! number of seeds, and `STOPPABLE_STRESS_FIRST` the first of them, to repeat one that failed.

use std::collections::VecDeque;
use std::env;
use std::hint;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::Duration;
use stoppable::{
    CancelOutcome, Canceller, Outcome, Shutdown, ShutdownReport, Stats, StopEvent, SubmitError,
    Submitter, TaskHandle, TaskId, TaskStatus, ThreadPool,
};

/// `SplitMix64`.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// From 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn mode(&mut self) -> Shutdown {
        [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll][self.below(3) as usize]
    }
}

const NEVER_BEGAN: u8 = 0;
const COMPLETED: u8 = 1;
const CANCELLED: u8 = 2;
const PANICKED: u8 = 3;

/// What the test knows of one task.
#[derive(Default)]
struct Slot {
    /// One more than the id; 0 for a task that was handed back by the submission.
    id: AtomicU64,
    begun: AtomicU8,
    /// How the closure ended, as the closure itself saw it.
    ending: AtomicU8,
    closure_drops: AtomicU8,
    /// Results and payloads.
    made: AtomicU8,
    made_drops: AtomicU8,
    /// The outcome was fetched through the handle.
    fetched: AtomicBool,
    /// How often the hook for unhandled panics was called for it.
    unhandled: AtomicU8,
}

impl Slot {
    /// The status that the closure's own observations make right.
    fn status(&self) -> TaskStatus {
        match (self.begun.load(Relaxed), self.ending.load(Relaxed)) {
            (0, NEVER_BEGAN) => TaskStatus::NeverStarted,
            (1, COMPLETED) => TaskStatus::Completed,
            (1, CANCELLED) => TaskStatus::Cancelled,
            (1, PANICKED) => TaskStatus::Panicked,
            (1, _) => TaskStatus::Running,
            (begun, ending) => panic!("a task began {begun} times and ended as {ending}"),
        }
    }
}

struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn new() -> Self {
        Gate {
            open: Mutex::new(false),
            opened: Condvar::new(),
        }
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }
}

struct World {
    slots: Box<[Slot]>,
    next: AtomicUsize,
    /// When a closer acts: once that many tasks have been made, or at the end.
    closers: [(usize, Gate); 2],
    /// Handles for the tasks themselves to join.
    pot: Mutex<Vec<(usize, TaskHandle<Token>)>>,
    submitter: OnceLock<Submitter>,
    /// Whether who submits may have to wait for room.
    bounded: bool,
    /// A closer did something, so that the pool may have ended while handles were about.
    closed: AtomicBool,
    /// Refusals that gave the closure back.
    handed_back: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl World {
    /// The number of a new task, until there are enough.
    fn ticket(&self) -> Option<usize> {
        let n = self.next.fetch_add(1, Relaxed);
        for (at, gate) in &self.closers {
            if n == *at {
                gate.open();
            }
        }
        (n < self.slots.len()).then_some(n)
    }

    fn note_id(&self, n: usize, id: TaskId) {
        let before = self.slots[n].id.swap(id.as_u64() + 1, Relaxed);
        self.expect(before == 0, || format!("task {n} has two ids"));
    }

    fn submitter(&self) -> &Submitter {
        self.submitter.get().unwrap()
    }

    /// Notes what is wrong, for the end: a panic on a worker would be just another panic.
    fn expect(&self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong.lock().unwrap().push(what());
        }
    }

    /// A status that was shown is the one that the closure's observations make right.
    fn expect_status(&self, n: usize, shown: TaskStatus, by: &str) {
        let right = self.slots[n].status();
        self.expect(shown == right, || {
            format!("task {n}: {by} says {shown}, the closure {right}")
        });
    }

    fn expect_token(&self, n: usize, token: Option<&Token>) {
        self.expect(token.is_none_or(|token| token.n == n), || {
            format!("task {n} was given somebody else's result")
        });
    }

    fn check_outcome(&self, n: usize, outcome: &Outcome<Token>) {
        self.expect_status(n, outcome.status(), "its outcome");
        self.slots[n].fetched.store(true, Relaxed);
        match outcome {
            Outcome::Panicked(payload) => {
                let token = payload.downcast_ref::<Token>();
                self.expect(token.is_some(), || format!("task {n} has another payload"));
                self.expect_token(n, token);
            }
            Outcome::Completed(token) => self.expect_token(n, Some(token)),
            Outcome::Cancelled { partial, .. } => self.expect_token(n, partial.as_ref()),
            _ => self.expect(self.slots[n].closure_drops.load(Relaxed) <= 1, || {
                format!("task {n} had its closure dropped more than once")
            }),
        }
    }

    fn check_cancel(&self, n: usize, outcome: CancelOutcome) {
        let slot = &self.slots[n];
        match outcome {
            CancelOutcome::NeverStarted => {
                self.expect_status(n, TaskStatus::NeverStarted, "its cancel");
                self.expect(slot.closure_drops.load(Relaxed) == 1, || {
                    format!("task {n} was cancelled, and its captures were still there")
                });
            }
            CancelOutcome::AlreadyDone(status) => self.expect_status(n, status, "a late cancel"),
            _ => self.expect(slot.begun.load(Relaxed) <= 1, || {
                format!("task {n} began more than once")
            }),
        }
    }
}

/// What a closure captures.
struct Capture {
    n: usize,
    world: Arc<World>,
}

impl Capture {
    fn slot(&self) -> &Slot {
        &self.world.slots[self.n]
    }

    fn token(&self) -> Token {
        self.slot().made.fetch_add(1, Relaxed);
        Token {
            n: self.n,
            world: Arc::clone(&self.world),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.slot().closure_drops.fetch_add(1, Relaxed);
    }
}

/// What a closure returns, or panics with.
struct Token {
    n: usize,
    world: Arc<World>,
}

impl Drop for Token {
    fn drop(&mut self) {
        self.world.slots[self.n].made_drops.fetch_add(1, Relaxed);
    }
}

/// What a task does.
#[derive(Clone, Copy)]
enum Plan {
    Return,
    Poll(u64),
    Panic,
    Unwind(u64),
    /// Waits for its stop, which somebody outside is sure to ask for.
    Wait,
    Sleep,
    /// Joins a task of the pot that is older than itself, so that there is no circle.
    Join,
    /// Submits a task of its own, which does not join others than its own children.
    Spawn(u64),
}

impl Plan {
    fn choose(dice: &mut Dice, may_wait: bool, may_join: bool) -> Plan {
        match dice.below(32) {
            0..8 => Plan::Return,
            8..16 => Plan::Poll(dice.below(64)),
            16..19 => Plan::Panic,
            19..21 => Plan::Unwind(dice.below(64)),
            21 if may_wait => Plan::Wait,
            22 if may_wait => Plan::Sleep,
            23..27 if may_join => Plan::Join,
            27..30 => Plan::Spawn(dice.roll()),
            _ => Plan::Return,
        }
    }

    fn waits(self) -> bool {
        matches!(self, Plan::Wait | Plan::Sleep)
    }
}

fn body(capture: &Capture, plan: Plan, stop: &StopEvent) -> Token {
    let world = &capture.world;
    let slot = capture.slot();
    slot.begun.fetch_add(1, Relaxed);
    let mut saw = false;
    match plan {
        Plan::Return => {}
        Plan::Poll(polls) => saw = (0..polls).any(|_| stop.is_set()),
        Plan::Panic => {
            slot.ending.store(PANICKED, Relaxed);
            // Past the panic hook, which would print.
            resume_unwind(Box::new(capture.token()));
        }
        Plan::Unwind(polls) => {
            slot.ending.store(CANCELLED, Relaxed);
            (0..polls).for_each(|_| stoppable::unwind_if_stopped());
        }
        Plan::Wait => {
            stop.wait();
            saw = true;
        }
        Plan::Sleep => saw = stop.sleep(Duration::from_secs(3_600)).is_err(),
        Plan::Join => {
            let older = {
                let mut pot = world.pot.lock().unwrap();
                let place = pot.iter().position(|(n, _)| *n < capture.n);
                place.map(|place| pot.swap_remove(place))
            };
            if let Some((n, handle)) = older {
                world.check_outcome(n, &handle.outcome());
            }
        }
        Plan::Spawn(seed) => {
            let mut dice = Dice::new(seed);
            let mut children = Vec::new();
            if dice.one_in(16) {
                children.extend(submit_batch(world, &mut dice, true));
            } else if let Some((n, handle)) = submit_one(world, &mut dice, true).0 {
                children.push((n, handle, false));
            }
            for (n, handle, _) in children {
                match dice.below(4) {
                    0 => drop(handle),
                    1 => world.check_cancel(n, handle.cancel()),
                    _ => world.check_outcome(n, &handle.outcome()),
                }
            }
        }
    }
    let ending = if saw { CANCELLED } else { COMPLETED };
    slot.ending.store(ending, Relaxed);
    capture.token()
}

type Submitted = Option<(usize, TaskHandle<Token>)>;

/// Submits a task in one of the ways that there are. The flag says that it will wait for its stop.
fn submit_one(world: &Arc<World>, dice: &mut Dice, inside: bool) -> (Submitted, bool) {
    let Some(n) = world.ticket() else {
        return (None, false);
    };
    let way = dice.below(16);
    let plan = Plan::choose(dice, !inside && way > 0, !inside);
    let capture = Capture {
        n,
        world: Arc::clone(world),
    };
    let closure = move |stop: &StopEvent| body(&capture, plan, stop);
    let note = |id| world.note_id(n, id);
    let submitter = world.submitter();
    let handle = match way {
        0 => {
            match submitter.execute(closure) {
                Ok(id) => note(id),
                Err(error) => hand_back(world, n, error),
            }
            None
        }
        1 | 2 => match submitter.try_submit(closure) {
            Ok(handle) => Some(handle),
            Err(error) => {
                hand_back(world, n, error);
                None
            }
        },
        3 => Some(submitter.task().name("named").submit(closure)),
        _ => Some(submitter.submit(closure)),
    };
    if let Some(handle) = &handle {
        note(handle.id());
    }
    (handle.map(|handle| (n, handle)), plan.waits())
}

/// Submits many tasks at once. The flags say which of them will wait for their stop.
fn submit_batch(
    world: &Arc<World>,
    dice: &mut Dice,
    inside: bool,
) -> Vec<(usize, TaskHandle<Token>, bool)> {
    let len = [3, 20, 70, 300][dice.below(4) as usize];
    let len = 1 + dice.below(len);
    // In a bounded queue a task may begin before all are submitted, and only then is it stopped.
    let may_wait = !inside && !world.bounded;
    let mut tasks = Vec::new();
    let closures = (0..len).map_while(|_| {
        let n = world.ticket()?;
        let plan = Plan::choose(dice, may_wait, !inside);
        tasks.push((n, plan.waits()));
        let capture = Capture {
            n,
            world: Arc::clone(world),
        };
        Some(move |stop: &StopEvent| body(&capture, plan, stop))
    });
    let handles = world.submitter().submit_all(closures);
    world.expect(handles.len() == tasks.len(), || {
        format!("{} handles of {} tasks", handles.len(), tasks.len())
    });
    let mut before = None;
    let mut all = Vec::new();
    for ((n, waits), handle) in tasks.into_iter().zip(handles) {
        world.expect(before < Some(handle.id()), || {
            format!("the id of task {n} is not behind the one before")
        });
        before = Some(handle.id());
        world.note_id(n, handle.id());
        all.push((n, handle, waits));
    }
    all
}

fn hand_back<F>(world: &World, n: usize, error: SubmitError<F>) {
    if error.is_shut_down() {
        world.handed_back.fetch_add(1, Relaxed);
    }
    let drops = || world.slots[n].closure_drops.load(Relaxed);
    world.expect(drops() == 0, || format!("task {n} was refused and dropped"));
    drop(error.into_inner());
    world.expect(drops() == 1, || format!("task {n} was not handed back"));
}

type ToCancel = (usize, Canceller);

/// A thread outside the pool that submits, and does all kinds of things with the handles.
fn submit_many(world: &Arc<World>, pool: &ThreadPool, cancels: &Sender<ToCancel>, mut dice: Dice) {
    let mut kept: Kept = VecDeque::new();
    while world.next.load(Relaxed) < world.slots.len() {
        if dice.one_in(48) {
            let batch = submit_batch(world, &mut dice, false);
            // First those that nobody would stop otherwise.
            for (n, handle, _) in batch.iter().filter(|(_, _, waits)| *waits) {
                cancels.send((*n, handle.canceller())).unwrap();
            }
            if dice.one_in(4) {
                // All of them, in a row or backwards.
                let mut all: Vec<_> = batch.iter().collect();
                if dice.one_in(2) {
                    all.reverse();
                }
                for (n, handle, _) in all {
                    world.check_cancel(*n, handle.cancel());
                }
            }
            for (n, handle, _) in batch {
                use_handle(world, cancels, &mut dice, &mut kept, n, handle);
            }
        } else {
            let (submitted, waits) = submit_one(world, &mut dice, false);
            let Some((n, handle)) = submitted else {
                continue;
            };
            if waits {
                cancels.send((n, handle.canceller())).unwrap();
            }
            use_handle(world, cancels, &mut dice, &mut kept, n, handle);
        }
        if dice.one_in(4_096) {
            pool.cancel_pending();
        }
        while kept.len() > 64 || (!kept.is_empty() && dice.one_in(16)) {
            let place = dice.below(kept.len() as u64) as usize;
            if let Some((n, handle)) = kept.swap_remove_back(place) {
                world.check_outcome(n, &handle.outcome());
            }
        }
    }
    for (n, handle) in kept {
        world.check_outcome(n, &handle.outcome());
    }
}

type Kept = VecDeque<(usize, TaskHandle<Token>)>;

fn use_handle(
    world: &World,
    cancels: &Sender<ToCancel>,
    dice: &mut Dice,
    kept: &mut Kept,
    n: usize,
    handle: TaskHandle<Token>,
) {
    match dice.below(13) {
        0..3 => drop(handle),
        3 => {
            world.check_cancel(n, handle.cancel());
            kept.push_back((n, handle));
        }
        4 => {
            cancels.send((n, handle.canceller())).unwrap();
            kept.push_back((n, handle));
        }
        5 => cancels.send((n, handle.canceller())).unwrap(),
        6..9 => world.pot.lock().unwrap().push((n, handle)),
        9 => drop(handle.cancel_on_drop()),
        10 => {
            handle.stop_event().set();
            kept.push_back((n, handle));
        }
        11 => match handle.try_join() {
            Ok(Ok(token)) => world.check_outcome(n, &Outcome::Completed(token)),
            Ok(Err(error)) if error.is_panicked() => {
                let payload = error.into_panic().unwrap();
                world.check_outcome(n, &Outcome::Panicked(payload));
            }
            Ok(Err(error)) => {
                let cancelled = error.is_cancelled();
                world.expect(cancelled || error.is_never_started(), || {
                    format!("task {n}: {error}")
                });
                let right = world.slots[n].status() == TaskStatus::Cancelled;
                world.expect(cancelled == right, || format!("task {n}: {error}"));
            }
            Err(handle) => kept.push_back((n, handle)),
        },
        _ => kept.push_back((n, handle)),
    }
}

fn cancel_many(world: &World, cancels: &Mutex<Receiver<ToCancel>>, mut dice: Dice) {
    loop {
        let received = cancels.lock().unwrap().recv();
        let Ok((n, canceller)) = received else {
            return;
        };
        for _ in 0..dice.below(300) {
            hint::spin_loop();
        }
        let before = canceller.status();
        world.check_cancel(n, canceller.cancel());
        if before.is_done() {
            world.expect_status(n, before, "its canceller");
        }
    }
}

fn close(world: &World, pool: &ThreadPool, mut dice: Dice) {
    let (mode, way) = (dice.mode(), dice.below(6));
    if way < 4 {
        world.closed.store(true, Relaxed);
    }
    match way {
        0 => drop(pool.shutdown(mode)),
        1 => {
            let report = pool.shutdown_timeout(mode, Duration::ZERO);
            assert_law(report.stats());
        }
        2 => pool.begin_shutdown(mode),
        3 => {
            pool.stop_event().set();
        }
        _ => {}
    }
}

fn assert_law(stats: Stats) {
    let sum = stats.pending + stats.running + stats.done();
    assert_eq!(stats.submitted, sum, "{stats:?}");
}

/// Samples the counts until told to end.
fn sample(pool: &ThreadPool, ended: &AtomicBool) {
    let mut before = pool.stats();
    while !ended.load(Relaxed) {
        let now = pool.stats();
        assert_law(now);
        let rises = now.submitted >= before.submitted
            && now.completed >= before.completed
            && now.cancelled >= before.cancelled
            && now.never_started >= before.never_started
            && now.panicked >= before.panicked
            && now.refused >= before.refused;
        assert!(rises, "{before:?} and then {now:?}");
        before = now;
        thread::yield_now();
    }
}

fn world_of(tasks: usize, bounded: bool, dice: &mut Dice) -> Arc<World> {
    let closer = |dice: &mut Dice| (dice.below(tasks as u64 * 2) as usize, Gate::new());
    Arc::new(World {
        slots: (0..tasks).map(|_| Slot::default()).collect(),
        next: AtomicUsize::new(0),
        closers: [closer(dice), closer(dice)],
        pot: Mutex::new(Vec::new()),
        submitter: OnceLock::new(),
        bounded,
        closed: AtomicBool::new(false),
        handed_back: AtomicU64::new(0),
        wrong: Mutex::new(Vec::new()),
    })
}

fn pool_of(bounded: bool, dice: &mut Dice) -> ThreadPool {
    let mut builder = ThreadPool::builder()
        .threads(1 + dice.below(4) as usize)
        .report_details(dice.below(2_000) as usize)
        .on_unhandled_panic(|panic| {
            if let Some(token) = panic.payload().downcast_ref::<Token>() {
                let slot = &token.world.slots[token.n];
                slot.unhandled.fetch_add(1, Relaxed);
            }
        });
    if bounded {
        builder = builder.queue_capacity(1 + dice.below(200) as usize);
    }
    builder.build().unwrap()
}

fn one_seed(seed: u64, tasks: usize) {
    let mut dice = Dice::new(seed);
    let bounded = dice.one_in(2);
    let world = world_of(tasks, bounded, &mut dice);
    let pool = pool_of(bounded, &mut dice);
    world.submitter.set(pool.submitter()).unwrap();
    let (to_cancel, cancels) = mpsc::channel();
    let cancels = Mutex::new(cancels);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let (world, pool, cancels, ended) = (&world, &pool, &cancels, &ended);
        scope.spawn(|| sample(pool, ended));
        for (_, gate) in &world.closers {
            let dice = Dice::new(dice.roll());
            scope.spawn(move || {
                gate.pass();
                close(world, pool, dice);
            });
        }
        let submitters: Vec<_> = (0..=dice.below(3))
            .map(|_| {
                let (to_cancel, dice) = (to_cancel.clone(), Dice::new(dice.roll()));
                scope.spawn(move || submit_many(world, pool, &to_cancel, dice))
            })
            .collect();
        drop(to_cancel);
        for _ in 0..2 {
            let dice = Dice::new(dice.roll());
            scope.spawn(move || cancel_many(world, cancels, dice));
        }
        for submitter in submitters {
            submitter.join().unwrap();
        }
        for (_, gate) in &world.closers {
            gate.open();
        }
        ended.store(true, Relaxed);
    });
    // Some of the handles that nobody took are joined after the end.
    let mut pot = std::mem::take(&mut *world.pot.lock().unwrap());
    pot.retain(|_| dice.one_in(2));
    let report = pool.shutdown(dice.mode());
    for (n, handle) in pot {
        world.check_outcome(n, &handle.outcome());
    }
    assert_eq!(pool.stats(), report.stats());
    drop(pool);
    check(&world, &report);
    assert!(
        Arc::into_inner(world).is_some(),
        "something that a task captured is still alive"
    );
}

/// The whole account.
fn check(world: &World, report: &ShutdownReport) {
    let wrong = world.wrong.lock().unwrap();
    assert!(
        wrong.is_empty(),
        "{} wrong: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(10)]
    );
    assert!(report.is_final());
    assert_law(report.stats());
    let refused: Vec<u64> = report.refused_ids().map(TaskId::as_u64).collect();
    let is_refused = |id: u64| refused.binary_search(&id).is_ok();
    // Which task each id belongs to; ids are dense.
    let mut tasks: Vec<Option<usize>> = Vec::new();
    let mut right = Stats::default();
    for (n, slot) in world.slots.iter().enumerate() {
        let status = slot.status();
        assert_eq!(slot.closure_drops.load(Relaxed), 1, "closure of task {n}");
        let (made, dropped) = (slot.made.load(Relaxed), slot.made_drops.load(Relaxed));
        assert!(made <= 1, "task {n} made {made} results");
        assert_eq!(made, dropped, "result of task {n}, which was {status}");
        let panicked = status == TaskStatus::Panicked;
        let unhandled = panicked && !slot.fetched.load(Relaxed);
        let (heard, once) = (slot.unhandled.load(Relaxed), u8::from(unhandled));
        // When a handle goes after the pool has ended, the hook is gone too.
        let lost = world.closed.load(Relaxed) && heard == 0;
        assert!(
            heard == once || lost,
            "panic of task {n} was heard of {heard} times"
        );
        let Some(id) = slot.id.load(Relaxed).checked_sub(1) else {
            assert_eq!(status, TaskStatus::NeverStarted, "task {n} was handed back");
            continue;
        };
        let place = id as usize;
        if tasks.len() <= place {
            tasks.resize(place + 1, None);
        }
        assert_eq!(tasks[place].replace(n), None, "id {id} was given twice");
        if is_refused(id) {
            assert_eq!(status, TaskStatus::NeverStarted, "task {n} was refused");
            continue;
        }
        right.submitted += 1;
        match status {
            TaskStatus::Completed => right.completed += 1,
            TaskStatus::Cancelled => right.cancelled += 1,
            TaskStatus::NeverStarted => right.never_started += 1,
            TaskStatus::Panicked => right.panicked += 1,
            other => panic!("task {n} is still {other}"),
        }
    }
    right.refused = refused.len() as u64 + world.handed_back.load(Relaxed);
    assert_eq!(report.stats(), right);
    check_ids(world, report, &tasks, &refused);
}

fn check_ids(world: &World, report: &ShutdownReport, tasks: &[Option<usize>], refused: &[u64]) {
    let status_of = |id: u64| world.slots[tasks[id as usize].unwrap()].status();
    let statuses = [
        TaskStatus::Completed,
        TaskStatus::Cancelled,
        TaskStatus::NeverStarted,
        TaskStatus::Panicked,
    ];
    let mut listed = refused.len();
    for status in statuses {
        let mut before = None;
        for id in report.ids(status) {
            assert_eq!(status_of(id.as_u64()), status, "listed id {id}");
            assert_eq!(report.status_of(id), Some(status));
            assert!(before < Some(id), "the ids are not rising");
            before = Some(id);
            listed += 1;
        }
    }
    assert_eq!(listed, tasks.len(), "ids listed, of ids given");
    for id in refused {
        assert_eq!(status_of(*id), TaskStatus::NeverStarted);
    }
    let mut details = 0;
    for detail in report.details() {
        assert_eq!(report.status_of(detail.id()), Some(detail.status()));
        assert_eq!(status_of(detail.id().as_u64()), detail.status());
        let asked = detail.status() != TaskStatus::Panicked;
        assert!(detail.cause().is_some() || !asked, "{detail:?}");
        details += 1;
    }
    let exceptions = report.cancelled() + report.never_started() + report.panicked();
    assert_eq!(details + report.details_left_out(), exceptions);
}

fn setting(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => default,
    }
}

#[test]
fn random_histories_are_accounted_for_exactly() {
    let tasks = setting("STOPPABLE_STRESS_TASKS", 40_000);
    let seeds = setting("STOPPABLE_STRESS_SEEDS", 3);
    let first = setting("STOPPABLE_STRESS_FIRST", 1);
    for seed in first..first + seeds {
        // A hang must name its seed.
        let (done, ending) = mpsc::channel::<()>();
        let run = thread::spawn(move || {
            let _done = done;
            one_seed(seed, tasks as usize);
        });
        let limit = Duration::from_secs(60 + tasks / 5_000);
        let ended = ending.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected);
        assert!(ended, "seed {seed} hangs");
        assert!(run.join().is_ok(), "seed {seed} failed");
    }
}
