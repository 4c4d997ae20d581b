//! One pool: its shape, its life, its end, and the whole account.

use crate::actor::{Actor, serve};
use crate::balance::{await_threads, threads};
use crate::dice::Dice;
use crate::plan::{Plan, body};
use crate::world::{HANDED_BACK, KNOWN, NAMELESS, Token, WITHOUT_POOL, World, assert_law};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use stoppable::{Graceful, Shutdown, ShutdownReport, Stats, StopEvent, TaskStatus, ThreadPool};

/// How many tasks there were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) pools: u64,
    /// All that were made, among them what was refused, and what had no pool.
    pub(crate) tasks: u64,
    pub(crate) stats: Stats,
}

impl Tally {
    fn add(&mut self, tasks: u64, stats: Stats) {
        self.pools += 1;
        self.tasks += tasks;
        let sum = &mut self.stats;
        sum.submitted += stats.submitted;
        sum.completed += stats.completed;
        sum.cancelled += stats.cancelled;
        sum.never_started += stats.never_started;
        sum.panicked += stats.panicked;
        sum.refused += stats.refused;
        sum.taken += stats.taken;
    }
}

/// The names of pools of which something is left, which pools share with them, and how they were built.
static LEFT: Mutex<Vec<(Arc<str>, String)>> = Mutex::new(Vec::new());

/// The pools of which something is left.
pub(crate) fn left() -> Vec<String> {
    let mut left = LEFT.lock().unwrap();
    left.retain(|(name, _)| Arc::strong_count(name) > 1);
    left.iter().map(|(_, shape)| shape.clone()).collect()
}

/// How the latest pool was ended.
fn note_end(how: &str) {
    if let Some((_, shape)) = LEFT.lock().unwrap().last_mut() {
        shape.push_str(how);
    }
}

/// Which hooks of the pool's threads were called, how many times.
#[derive(Default)]
struct Hooks {
    start: AtomicUsize,
    stop: AtomicUsize,
}

fn pool_of(
    seed: u64,
    world: &World,
    hooks: &Arc<Hooks>,
    timings: bool,
    dice: &mut Dice,
) -> ThreadPool {
    let (start, stop) = (Arc::clone(hooks), Arc::clone(hooks));
    let threads = match dice.below(4) {
        0 => 1,
        1 => 2,
        _ => 1 + dice.below(8),
    };
    let mut builder = ThreadPool::builder()
        .threads(threads as usize)
        .timings(timings)
        .on_drop(dice.mode())
        .report_details(dice.below(500) as usize)
        .on_thread_start(move || {
            start.start.fetch_add(1, Relaxed);
        })
        .on_thread_stop(move || {
            stop.stop.fetch_add(1, Relaxed);
        })
        .on_unhandled_panic(|panic| {
            if let Some(token) = panic.payload().downcast_ref::<Token>() {
                token.world.slots[token.n].unhandled.fetch_add(1, Relaxed);
            }
        });
    let name: Arc<str> = format!("soak {seed:x}").into();
    builder = builder.name(Arc::clone(&name));
    if world.bounded {
        builder = builder.queue_capacity(1 + dice.below(400) as usize);
    }
    if dice.one_in(2) {
        builder = builder.stop_with(&world.parent, dice.mode());
    }
    let shape = format!("{builder:?}, bounded: {}", world.bounded);
    let mut left = LEFT.lock().unwrap();
    left.retain(|(name, _)| Arc::strong_count(name) > 1);
    left.push((name, shape));
    builder.build().unwrap()
}

/// One pool with so many tasks.
pub(crate) fn round(seed: u64, tasks: usize, tally: &mut Tally) {
    let mut dice = Dice::new(seed);
    // The timer thread is there from then on, and nobody else comes to stay.
    pass_timers();
    let before = threads();
    let (bounded, timings) = (dice.one_in(3), dice.one_in(4));
    let world = World::new(tasks, bounded, &mut dice);
    let hooks = Arc::<Hooks>::default();
    let pool = pool_of(seed, &world, &hooks, timings, &mut dice);
    assert!(world.submitter.set(pool.submitter()).is_ok());
    assert!(world.event.set(pool.stop_event()).is_ok());
    if dice.one_in(16) {
        world.parent.set_after(dice.micros(20_000));
    }
    thread::scope(|scope| {
        let (jobs, sent) = mpsc::channel();
        let server = Dice::new(dice.roll());
        scope.spawn(|| serve(&world, &{ sent }, server));
        for _ in 0..=dice.below(3) {
            let actor = Actor {
                world: &world,
                pool: &pool,
                jobs: jobs.clone(),
                dice: Dice::new(dice.roll()),
                kept: Vec::new(),
                event: StopEvent::new(),
                before: pool.stats(),
            };
            scope.spawn(move || actor.act());
        }
    });
    // Some of the handles that nobody took are joined after the end.
    let mut pot = std::mem::take(&mut *world.pot.lock().unwrap());
    pot.retain(|_| dice.one_in(2));
    let report = end(&world, pool, &mut dice);
    // Threads that nobody joins may still be about to end. They have the hooks until then; one that stays makes this
    // hang, which the watchdog ends.
    while Arc::strong_count(&hooks) > 1 {
        thread::yield_now();
    }
    for (n, handle) in pot {
        world.check_outcome(n, &handle.outcome());
    }
    pass_timers();
    // What a task without a pool had captured is dropped on a thread that is started for it. By then nobody starts one.
    await_threads(before);
    note_end(&format!(", at the end: {:?}", report.stats()));
    let (started, stopped) = (hooks.start.load(Relaxed), hooks.stop.load(Relaxed));
    assert_eq!(started, stopped, "hooks of threads that start and stop");
    assert_eq!(report.waited().is_some(), timings);
    let made = check(&world, &report);
    tally.add(made, report.stats());
    drop(report);
    let notes = std::mem::take(&mut *world.notes.lock().unwrap());
    assert!(
        Arc::into_inner(world).is_some(),
        "something that a task captured is still alive"
    );
    notes.iter().for_each(|note| note.check());
}

/// Waits until the timer thread has done what it had begun: it ends tasks too, nobody joins it, and it calls callbacks
/// after it has told of the end.
fn pass_timers() {
    let here = thread::current().id();
    loop {
        let (tell, told) = mpsc::channel();
        let event = StopEvent::new();
        let call = event.on_set(move || tell.send(thread::current().id()).unwrap());
        event.set_after(Duration::from_micros(50));
        let set_by = told.recv().unwrap();
        drop(call);
        // If the time has passed by then, it is set at once.
        if set_by != here {
            break;
        }
    }
}

/// Ends the pool in one of the ways that there are.
fn end(world: &Arc<World>, pool: ThreadPool, dice: &mut Dice) -> ShutdownReport {
    let mode = dice.mode();
    let way = dice.below(8);
    note_end(&format!(
        ", mode: {mode}, way: {way}, parent: {}, stats: {:?}",
        world.parent.peek(),
        pool.stats()
    ));
    let report = match way {
        0..3 => {
            let report = pool.shutdown(mode);
            assert_eq!(pool.stats(), report.stats());
            report
        }
        3 => {
            pool.begin_shutdown(mode);
            pool.shutdown_timeout(mode, Duration::ZERO)
        }
        4 => {
            let graceful = Graceful::new()
                .drain(dice.micros(200))
                .cancel_pending(dice.micros(200))
                .stop_all(dice.micros(200));
            pool.shutdown_graceful(graceful)
        }
        5 => return pool.abandon().into_stragglers().wait(),
        6 => return dropped_by_a_task(world, pool, mode),
        _ => {
            let stragglers = pool.shutdown_timeout(mode, Duration::ZERO);
            let report = pollster::block_on(stragglers.into_stragglers());
            assert!(report.is_final());
            report
        }
    };
    assert_law(report.stats());
    drop(pool);
    report.into_stragglers().wait()
}

/// The last one who has the pool is one of its own tasks, unless it is closed to them by then.
fn dropped_by_a_task(world: &Arc<World>, pool: ThreadPool, mode: Shutdown) -> ShutdownReport {
    let (give, given) = mpsc::channel::<ThreadPool>();
    let capture = world.extra();
    let n = capture.n;
    let task = world.submitter().submit(move |stop| {
        drop(given.recv());
        body(&capture, Plan::Return, stop)
    });
    world.note_id(n, task.id());
    // Or the shutdown would doom it.
    task.wait_started();
    let stragglers = pool.shutdown_timeout(mode, Duration::ZERO);
    let stragglers = stragglers.into_stragglers();
    drop(give.send(pool));
    world.check_outcome(n, &task.outcome());
    stragglers.wait()
}

/// What the report says of every id; of those that were handed back, nothing.
fn shown(report: &ShutdownReport, refused: &[u64], taken: &[u64]) -> Vec<Option<TaskStatus>> {
    let ids = report.stats().submitted as usize + refused.len();
    let mut shown = vec![None; ids];
    let mut listed = refused.len() + taken.len();
    for id in refused {
        shown[*id as usize] = Some(TaskStatus::NeverStarted);
    }
    for status in [
        TaskStatus::Completed,
        TaskStatus::Cancelled,
        TaskStatus::NeverStarted,
        TaskStatus::Panicked,
    ] {
        let mut before = None;
        for id in report.ids(status) {
            assert_eq!(report.status_of(id), Some(status));
            let other = shown[id.as_u64() as usize].replace(status);
            assert_eq!(other, None, "id {id}");
            assert!(before < Some(id), "the ids are not rising");
            before = Some(id);
            listed += 1;
        }
    }
    for id in report.taken_ids() {
        assert_eq!(report.status_of(id), None);
        assert_eq!(shown[id.as_u64() as usize], None);
    }
    assert_eq!(listed, ids, "ids listed, of ids given");
    shown
}

/// The whole account. Says how many tasks were made.
fn check(world: &World, report: &ShutdownReport) -> u64 {
    let wrong = world.wrong.lock().unwrap();
    assert!(
        wrong.is_empty(),
        "{} wrong: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(10)]
    );
    assert!(report.is_final());
    assert_law(report.stats());
    let refused: Vec<u64> = report.refused_ids().map(u64::from).collect();
    let taken: Vec<u64> = report.taken_ids().map(u64::from).collect();
    let shown = shown(report, &refused, &taken);
    // Which of the ids, which are dense, belong to tasks that are known; and what the others became.
    let mut owned = vec![false; shown.len()];
    let mut nameless = HashMap::<TaskStatus, u64>::new();
    let mut made = 0;
    for (n, slot) in world.slots.iter().enumerate() {
        if !slot.is_used() {
            continue;
        }
        made += 1;
        let status = slot.status();
        assert!(status.is_done(), "task {n} is {status}");
        assert_eq!(slot.closure_drops.load(Relaxed), 1, "closure of task {n}");
        let (tokens, dropped) = (slot.made.load(Relaxed), slot.made_drops.load(Relaxed));
        assert!(tokens <= 1, "task {n} made {tokens} results");
        assert_eq!(tokens, dropped, "result of task {n}, which was {status}");
        let unhandled = slot.unhandled.load(Relaxed);
        let most = u8::from(status == TaskStatus::Panicked && !slot.fetched.load(Relaxed));
        assert!(unhandled <= most, "panic of task {n}: {unhandled}");
        let done = (slot.done_wanted.load(Relaxed), slot.done_came.load(Relaxed));
        assert_eq!(done.0, done.1, "callbacks of task {n}");
        match slot.sort.load(Relaxed) {
            KNOWN => {
                let id = slot.id.load(Relaxed).checked_sub(1).expect("an id");
                let twice = std::mem::replace(&mut owned[id as usize], true);
                assert!(!twice, "id {id} was given twice");
                let right = Some(status).filter(|_| taken.binary_search(&id).is_err());
                assert_eq!(shown[id as usize], right, "task {n}, with the id {id}");
            }
            NAMELESS => *nameless.entry(status).or_default() += 1,
            HANDED_BACK => assert_eq!(status, TaskStatus::NeverStarted, "task {n}"),
            sort => assert_eq!(sort, WITHOUT_POOL, "task {n}"),
        }
    }
    for (status, _) in shown.iter().zip(&owned).filter(|(_, owned)| !**owned) {
        // Such a one may have been handed back, and then the report does not say.
        let Some(status) = status else { continue };
        let left = nameless.entry(*status).or_default();
        assert!(*left > 0, "more tasks are {status} than there were");
        *left -= 1;
    }
    let unnamed_taken = taken.iter().filter(|id| !owned[**id as usize]).count() as u64;
    // A race may drop a closure that it has fetched before it is a task.
    nameless.remove(&TaskStatus::NeverStarted);
    let lost: u64 = nameless.values().sum();
    assert!(lost <= unnamed_taken, "{lost} tasks are in no list");
    check_counts(world, report, &shown, &refused);
    made
}

fn check_counts(
    world: &World,
    report: &ShutdownReport,
    shown: &[Option<TaskStatus>],
    refused: &[u64],
) {
    let stats = report.stats();
    let count = |status| shown.iter().filter(|it| **it == Some(status)).count() as u64;
    let never_started = count(TaskStatus::NeverStarted) - refused.len() as u64;
    assert_eq!(stats.completed, count(TaskStatus::Completed));
    assert_eq!(stats.cancelled, count(TaskStatus::Cancelled));
    assert_eq!(stats.panicked, count(TaskStatus::Panicked));
    assert_eq!(stats.never_started, never_started);
    let handed_back = world.handed_back.load(Relaxed);
    assert_eq!(stats.refused, refused.len() as u64 + handed_back);
    let mut details = 0;
    for detail in report.details() {
        let id = detail.id().as_u64() as usize;
        assert_eq!(shown[id], Some(detail.status()));
        let asked = detail.status() != TaskStatus::Panicked;
        assert!(detail.cause().is_some() || !asked, "{detail:?}");
        details += 1;
    }
    let exceptions = stats.cancelled + stats.never_started + stats.panicked;
    assert_eq!(details + report.details_left_out(), exceptions);
    // Text for people: that it can be made at all.
    assert!(!report.to_string().is_empty());
}
