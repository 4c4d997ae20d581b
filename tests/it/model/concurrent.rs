//! Several threads give orders at once. Each order is noted with when it was given and when it was answered, and
//! then an order of all steps is looked for that the times allow and in which the specification below answers as
//! the pool has. If there is none, the pool has done what no pool may.
//!
//! What workers do, a start, a look, an end, are steps of nobody's, which may come at any time. Orders about many
//! tasks take several steps, between which others may come; all others take one.

use super::real::{Answer, Shared, code};
use super::spec::Body;
use crate::common::finishes;
use proptest::prelude::*;
use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use stoppable::{CancelOutcome, Shutdown, TaskHandle, TaskStatus, ThreadPool};

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A task whose gate is open.
    Submit(Body),
    Cancel(usize),
    /// Sets a task's own event.
    Set(usize),
    IsSet(usize),
    Status(usize),
    Open(usize),
    CancelPending,
    BeginShutdown(Shutdown),
    /// Waits for the end of a task.
    Wait(usize),
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Cancel(CancelOutcome),
    Status(TaskStatus),
    Bool(bool),
    Count(usize),
}

/// One order, as it was.
#[derive(Clone, Copy, Debug)]
struct Event {
    op: Op,
    said: Said,
    given: usize,
    answered: usize,
    /// Which task it made.
    task: usize,
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        1 => Just(Body::Quick),
        1 => Just(Body::Gated),
        2 => Just(Body::Polls),
        2 => Just(Body::Waits),
        1 => Just(Body::Panics),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let at = || 0..4_usize;
    let mode = prop_oneof![
        Just(Shutdown::Drain),
        Just(Shutdown::CancelPending),
        Just(Shutdown::StopAll)
    ];
    prop_oneof![
        4 => body().prop_map(Op::Submit),
        6 => at().prop_map(Op::Cancel),
        3 => at().prop_map(Op::Set),
        2 => at().prop_map(Op::IsSet),
        4 => at().prop_map(Op::Status),
        5 => at().prop_map(Op::Open),
        1 => Just(Op::CancelPending),
        1 => mode.prop_map(Op::BeginShutdown),
    ]
}

/// Runs the orders of each thread, and then brings everything to an end. What each thread saw.
fn run(threads: usize, first: &[Body], lists: &[Vec<(Op, u32)>]) -> Vec<Vec<Event>> {
    let pool = ThreadPool::new(threads);
    let submitter = pool.submitter();
    let shared: Vec<_> = first.iter().map(|_| Arc::<Shared>::default()).collect();
    let each = first.iter().zip(&shared);
    let tasks: Vec<_> = each
        .map(|(body, shared)| pool.submit(code(*body, shared, &submitter)))
        .collect();
    let (clock, start) = (AtomicUsize::new(0), Barrier::new(lists.len()));
    let places = places(
        first.len(),
        lists.iter().map(|list| list.iter().map(|(op, _)| *op)),
    );
    let order = |op: Op, task: usize, made: &mut Vec<TaskHandle<Answer>>| {
        let given = clock.fetch_add(1, Ordering::SeqCst);
        let said = match op {
            Op::Submit(body) => {
                let shared = Arc::<Shared>::default();
                shared.gate.open();
                made.push(pool.submit(code(body, &shared, &submitter)));
                Said::Nothing
            }
            Op::Cancel(at) => Said::Cancel(tasks[at].cancel()),
            Op::Set(at) => Said::Bool(tasks[at].stop_event().set()),
            Op::IsSet(at) => Said::Bool(tasks[at].stop_event().peek()),
            Op::Status(at) => Said::Status(tasks[at].status()),
            Op::Open(at) => {
                shared[at].gate.open();
                Said::Nothing
            }
            Op::CancelPending => Said::Count(pool.cancel_pending()),
            Op::BeginShutdown(mode) => {
                pool.begin_shutdown(mode);
                Said::Nothing
            }
            Op::Wait(at) => {
                tasks[at].wait();
                Said::Status(tasks[at].status())
            }
        };
        let answered = clock.fetch_add(1, Ordering::SeqCst);
        Event {
            op,
            said,
            given,
            answered,
            task,
        }
    };
    let mut all: Vec<Vec<Event>> = Vec::new();
    let mut made = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = lists
            .iter()
            .zip(&places)
            .map(|(list, places)| {
                let (order, start) = (&order, &start);
                scope.spawn(move || {
                    let mut made = Vec::new();
                    start.wait();
                    let events: Vec<_> = list
                        .iter()
                        .zip(places)
                        .map(|((op, pause), task)| {
                            (0..*pause).for_each(|_| hint::spin_loop());
                            order(*op, *task, &mut made)
                        })
                        .collect();
                    (events, made)
                })
            })
            .collect();
        for thread in threads {
            let (events, more) = thread.join().unwrap();
            all.push(events);
            made.extend(more);
        }
    });
    // The end, by one more thread, as it were.
    let mut last = Vec::new();
    for (at, body) in first.iter().enumerate() {
        last.push(order(end_of(*body, at), 0, &mut Vec::new()));
    }
    made.iter().for_each(TaskHandle::wait);
    for at in 0..first.len() {
        last.push(order(Op::Wait(at), 0, &mut Vec::new()));
    }
    all.push(last);
    all
}

fn end_of(body: Body, at: usize) -> Op {
    match body {
        Body::Waits => Op::Cancel(at),
        _ => Op::Open(at),
    }
}

/// Which task each order makes, if it makes one.
fn places(
    mut next: usize,
    lists: impl Iterator<Item = impl Iterator<Item = Op>>,
) -> Vec<Vec<usize>> {
    let place = |op: Op| {
        next += usize::from(matches!(op, Op::Submit(_)));
        next - 1
    };
    let mut place = place;
    lists.map(|list| list.map(&mut place).collect()).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    None,
    Pending,
    Running,
    /// It has looked, and seen this.
    Looked(bool),
    Ended(TaskStatus),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Task {
    body: Body,
    phase: Phase,
    set: bool,
    open: bool,
}

/// How far a thread has come: how many orders are behind it, and what it has done of the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct At {
    done: usize,
    begun: bool,
    count: usize,
    /// The tasks that have to be gone when it is answered, one bit each.
    must: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    tasks: Vec<Task>,
    queue: VecDeque<usize>,
    /// As `Shutdown`, from 1.
    door: u8,
    pool_is_set: bool,
    at: Vec<At>,
}

struct Search<'a> {
    threads: usize,
    all: &'a [Vec<Event>],
    /// Who submits each task, and in which order of its: none for the first ones.
    makers: Vec<Option<(usize, usize)>>,
    seen: HashSet<World>,
}

impl Search<'_> {
    /// Whether there is a way from here to the end of all threads.
    fn ends(&mut self, world: &World) -> bool {
        let mut ways = vec![world.clone()];
        while let Some(world) = ways.pop() {
            if world
                .at
                .iter()
                .zip(self.all)
                .all(|(at, list)| at.done == list.len())
            {
                return true;
            }
            if self.seen.insert(world.clone()) {
                self.steps_of_workers(&world, &mut ways);
                for thread in 0..self.all.len() {
                    self.steps_of(thread, &world, &mut ways);
                }
            }
        }
        false
    }

    fn steps_of_workers(&self, world: &World, ways: &mut Vec<World>) {
        let runs = |task: &&Task| matches!(task.phase, Phase::Running | Phase::Looked(_));
        let running = world.tasks.iter().filter(runs).count();
        if let (Some(first), true) = (world.queue.front(), running < self.threads) {
            let mut next = world.clone();
            next.queue.pop_front();
            next.tasks[*first].phase = Phase::Running;
            ways.push(next);
        }
        for (at, task) in world.tasks.iter().enumerate() {
            let asked = task.set || world.pool_is_set;
            let phase = match (task.phase, task.body) {
                (Phase::Running, Body::Quick) => Phase::Ended(TaskStatus::Completed),
                (Phase::Running, Body::Gated) if task.open => Phase::Ended(TaskStatus::Completed),
                (Phase::Running, Body::Panics) if task.open => Phase::Ended(TaskStatus::Panicked),
                (Phase::Running, Body::Polls) if task.open => Phase::Looked(asked),
                (Phase::Running, Body::Waits) if asked => Phase::Ended(TaskStatus::Cancelled),
                (Phase::Looked(true), _) => Phase::Ended(TaskStatus::Cancelled),
                (Phase::Looked(false), _) => Phase::Ended(TaskStatus::Completed),
                _ => continue,
            };
            let mut next = world.clone();
            next.tasks[at].phase = phase;
            ways.push(next);
        }
    }

    /// The next steps that this thread may take.
    fn steps_of(&self, thread: usize, world: &World, ways: &mut Vec<World>) {
        let at = world.at[thread];
        let Some(event) = self.all[thread].get(at.done) else {
            return;
        };
        if !at.begun {
            // Whatever was answered before this was given comes before it.
            let is_behind = |(list, at): (&Vec<Event>, &At)| {
                list.get(at.done)
                    .is_none_or(|open| open.answered > event.given)
            };
            if !self.all.iter().zip(&world.at).all(is_behind) {
                return;
            }
        }
        let mut next = world.clone();
        next.at[thread] = At { begun: true, ..at };
        match event.op {
            Op::CancelPending => {
                if !at.begun {
                    next.at[thread].must = world.pending();
                    ways.push(next);
                    return;
                }
                world.doom_each(thread, ways);
                if world.pending() & at.must == 0 && event.said == Said::Count(at.count) {
                    next.done(thread, ways);
                }
            }
            Op::BeginShutdown(mode) => {
                let door = match mode {
                    Shutdown::Drain => 1,
                    Shutdown::CancelPending => 2,
                    _ => 3,
                };
                if !at.begun {
                    next.door = world.door.max(door);
                    ways.push(next);
                    return;
                }
                if door >= 2 {
                    world.doom_each(thread, ways);
                }
                if door == 3 && !world.pool_is_set {
                    next.pool_is_set = true;
                    ways.push(next);
                    return;
                }
                // What is being submitted is its submitter's to settle.
                let is_settled = |task: usize| match self.makers[task] {
                    Some((thread, order)) => world.at[thread].done <= order,
                    None => false,
                };
                let pending = world.pending();
                let mut tasks = (0..world.tasks.len()).filter(|task| pending >> task & 1 == 1);
                if door < 2 || tasks.all(is_settled) {
                    next.done(thread, ways);
                }
            }
            Op::Submit(body) if !at.begun => {
                let accepted = world.door == 0;
                next.tasks[event.task] = Task {
                    body,
                    phase: if accepted {
                        next.queue.push_back(event.task);
                        Phase::Pending
                    } else {
                        Phase::Ended(TaskStatus::NeverStarted)
                    },
                    set: !accepted,
                    open: true,
                };
                ways.push(next);
            }
            Op::Submit(_) => {
                let is_pending = world.tasks[event.task].phase == Phase::Pending;
                if world.door < 2 || !is_pending {
                    next.done(thread, ways);
                } else {
                    // It was pushed when those who closed the door had been there.
                    next.doom(event.task);
                    ways.push(next);
                }
            }
            Op::Cancel(task) => {
                let said = match world.tasks[task].phase {
                    Phase::Pending => {
                        next.doom(task);
                        CancelOutcome::NeverStarted
                    }
                    Phase::Ended(status) => CancelOutcome::AlreadyDone(status),
                    _ => {
                        next.tasks[task].set = true;
                        CancelOutcome::Requested
                    }
                };
                if event.said == Said::Cancel(said) {
                    next.done(thread, ways);
                }
            }
            Op::Set(task) => {
                let was_set = world.is_set(task);
                if !was_set && world.tasks[task].phase == Phase::Pending {
                    next.doom(task);
                }
                next.tasks[task].set |= !was_set;
                if event.said == Said::Bool(!was_set) {
                    next.done(thread, ways);
                }
            }
            Op::IsSet(task) => {
                if event.said == Said::Bool(world.is_set(task)) {
                    next.done(thread, ways);
                }
            }
            Op::Status(task) => {
                if event.said == Said::Status(world.status(task)) {
                    next.done(thread, ways);
                }
            }
            Op::Wait(task) => {
                let has_ended = matches!(world.tasks[task].phase, Phase::Ended(_));
                if has_ended && event.said == Said::Status(world.status(task)) {
                    next.done(thread, ways);
                }
            }
            Op::Open(task) => {
                next.tasks[task].open = true;
                next.done(thread, ways);
            }
        }
    }
}

impl World {
    fn pending(&self) -> u32 {
        let tasks = self.tasks.iter().enumerate();
        let bit = |(at, task): (usize, &Task)| u32::from(task.phase == Phase::Pending) << at;
        tasks.map(bit).sum()
    }

    fn is_set(&self, task: usize) -> bool {
        self.tasks[task].set || self.pool_is_set
    }

    fn status(&self, task: usize) -> TaskStatus {
        match self.tasks[task].phase {
            Phase::None | Phase::Pending => TaskStatus::Pending,
            Phase::Running | Phase::Looked(_) => TaskStatus::Running,
            Phase::Ended(status) => status,
        }
    }

    fn doom(&mut self, task: usize) {
        self.queue.retain(|other| *other != task);
        self.tasks[task].phase = Phase::Ended(TaskStatus::NeverStarted);
        self.tasks[task].set = true;
    }

    /// That thread dooms one of the pending tasks.
    fn doom_each(&self, thread: usize, ways: &mut Vec<World>) {
        for task in &self.queue {
            let mut next = self.clone();
            next.doom(*task);
            next.at[thread].count += 1;
            ways.push(next);
        }
    }

    /// That thread's order is answered.
    fn done(mut self, thread: usize, ways: &mut Vec<World>) {
        self.at[thread] = At {
            done: self.at[thread].done + 1,
            ..At::default()
        };
        ways.push(self);
    }
}

/// Whether there is an order of steps that explains it.
fn is_explained(threads: usize, first: &[Body], all: &[Vec<Event>]) -> bool {
    let mut makers: Vec<_> = first.iter().map(|_| None).collect();
    for (thread, list) in all.iter().enumerate() {
        let submits = list.iter().enumerate();
        let submits = submits.filter(|(_, event)| matches!(event.op, Op::Submit(_)));
        makers.extend(submits.map(|(order, _)| Some((thread, order))));
    }
    let task = |body: Option<&Body>| Task {
        body: *body.unwrap_or(&Body::Quick),
        phase: body.map_or(Phase::None, |_| Phase::Pending),
        set: false,
        open: false,
    };
    let world = World {
        tasks: (0..makers.len()).map(|at| task(first.get(at))).collect(),
        queue: (0..first.len()).collect(),
        door: 0,
        pool_is_set: false,
        at: all.iter().map(|_| At::default()).collect(),
    };
    let mut search = Search {
        threads,
        all,
        makers,
        seen: HashSet::new(),
    };
    search.ends(&world)
}

fn check(threads: usize, first: &[Body], lists: &[Vec<(Op, u32)>]) {
    let in_reach = |op: Op| match op {
        Op::Cancel(at) => Op::Cancel(at % first.len()),
        Op::Set(at) => Op::Set(at % first.len()),
        Op::IsSet(at) => Op::IsSet(at % first.len()),
        Op::Status(at) => Op::Status(at % first.len()),
        Op::Open(at) => Op::Open(at % first.len()),
        // Nobody would stop it.
        Op::Submit(Body::Waits) => Op::Submit(Body::Polls),
        other => other,
    };
    let lists: Vec<Vec<_>> = lists
        .iter()
        .map(|list| {
            list.iter()
                .map(|(op, pause)| (in_reach(*op), *pause))
                .collect()
        })
        .collect();
    for _ in 0..ROUNDS {
        let all = run(threads, first, &lists);
        if !is_explained(threads, first, &all) {
            let mut text = format!("{threads} threads, {first:?}");
            for (thread, list) in all.iter().enumerate() {
                for event in list {
                    let Event {
                        op,
                        said,
                        given,
                        answered,
                        ..
                    } = event;
                    let _ = write!(text, "\n{thread}: {given:3}-{answered:3} {op:?}: {said:?}");
                }
            }
            panic!("no order of steps explains this: {text}");
        }
    }
}

/// How often each program is run: it goes differently each time.
const ROUNDS: usize = 10;

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn some_order_of_steps_explains_what_several_threads_saw(
        threads in 1..3_usize,
        first in prop::collection::vec(body(), 1..5),
        lists in prop::collection::vec(prop::collection::vec((op(), 0..60_u32), 1..5), 2..4),
    ) {
        finishes(move || check(threads, &first, &lists));
    }
}

#[test]
fn what_cannot_be_is_not_explained() {
    let event = |op, said, given, answered| Event {
        op,
        said,
        given,
        answered,
        task: 0,
    };
    let (never, done) = (
        Said::Cancel(CancelOutcome::NeverStarted),
        Said::Status(TaskStatus::Completed),
    );
    let cases = [
        // A task that never started completes.
        vec![vec![
            event(Op::Cancel(0), never, 0, 1),
            event(Op::Status(0), done, 2, 3),
        ]],
        // Two have set it.
        vec![
            vec![event(Op::Set(0), Said::Bool(true), 0, 2)],
            vec![event(Op::Set(0), Said::Bool(true), 1, 3)],
        ],
        // It is pending once more.
        vec![vec![
            event(Op::Status(0), Said::Status(TaskStatus::Running), 0, 1),
            event(Op::Status(0), Said::Status(TaskStatus::Pending), 2, 3),
        ]],
        // It passes a gate that is shut.
        vec![vec![event(Op::Wait(0), done, 0, 1)]],
        // Nobody has asked it.
        vec![vec![event(Op::IsSet(0), Said::Bool(true), 0, 1)]],
    ];
    for case in cases {
        assert!(!is_explained(1, &[Body::Gated], &case), "{case:?}");
    }
    let may_be = [
        vec![event(Op::Set(0), Said::Bool(true), 0, 2)],
        vec![event(Op::Set(0), Said::Bool(false), 1, 3)],
    ];
    assert!(is_explained(1, &[Body::Gated], &may_be));
}
