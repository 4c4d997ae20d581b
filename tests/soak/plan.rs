//! What tasks do, and what is done with many of them at once: by threads outside, and by tasks inside.

use crate::dice::Dice;
use crate::world::{
    CANCELLED, COMPLETED, Capture, KNOWN, Kept, NAMELESS, PANICKED, Token, World, is_alone,
};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use stoppable::{Outcome, StopEvent, Stopped, TaskHandle, as_completed};

/// What a task does.
#[derive(Clone, Copy)]
pub(crate) enum Plan {
    Return,
    Poll(u64),
    /// Polls the event that is found by itself, and its children.
    Ambient(u64),
    Panic,
    /// With a text.
    PanicText,
    Unwind(u64),
    /// Waits for its stop, which somebody outside is sure to ask for.
    Wait,
    Sleep,
    /// Joins a task of the pot that is older than itself, so that there is no circle.
    Join,
    /// Submits tasks of its own, and does things with their handles.
    Spawn(u64),
    /// Opens a scope, or something of the kind.
    Many(u64),
    /// A callback on its own event.
    CallBack(u64),
    /// Sets the pool's event.
    StopPool,
}

impl Plan {
    /// Of a task that does not wait for others.
    pub(crate) fn short(dice: &mut Dice) -> Plan {
        match dice.below(16) {
            0..7 => Plan::Return,
            7..12 => Plan::Poll(dice.below(64)),
            12 => Plan::Ambient(dice.below(16)),
            13 => Plan::Panic,
            14 => Plan::PanicText,
            _ => Plan::Unwind(dice.below(64)),
        }
    }

    pub(crate) fn choose(dice: &mut Dice, may_wait: bool, may_join: bool) -> Plan {
        match dice.below(256) {
            0..4 if may_wait => Plan::Wait,
            4..6 if may_wait => Plan::Sleep,
            6..26 if may_join => Plan::Join,
            26..40 => Plan::Spawn(dice.roll()),
            40..44 if may_join => Plan::Many(dice.roll()),
            44..48 => Plan::CallBack(dice.roll()),
            48 if dice.one_in(256) => Plan::StopPool,
            _ => Plan::short(dice),
        }
    }

    pub(crate) fn waits(self) -> bool {
        matches!(self, Plan::Wait | Plan::Sleep)
    }
}

pub(crate) fn body(capture: &Capture, plan: Plan, stop: &StopEvent) -> Token {
    let world = &capture.world;
    let slot = capture.slot();
    slot.begin();
    let mut saw = false;
    match plan {
        Plan::Return => {}
        Plan::Poll(polls) => saw = (0..polls).any(|_| stop.is_set()),
        Plan::Ambient(polls) => {
            let child = stoppable::current().child();
            saw = (0..polls).any(|_| child.check().is_err());
        }
        Plan::Panic => {
            slot.end(PANICKED);
            // Past the panic hook, which would print.
            resume_unwind(Box::new(capture.token()));
        }
        Plan::PanicText => {
            slot.end(PANICKED);
            resume_unwind(Box::new(capture.n.to_string()));
        }
        Plan::Unwind(polls) => {
            slot.end(CANCELLED);
            (0..polls).for_each(|_| stoppable::unwind_if_stopped());
        }
        Plan::Wait => {
            stop.wait();
            saw = true;
        }
        Plan::Sleep => saw = stop.sleep(Duration::MAX).is_err(),
        Plan::Join if !is_alone() => {
            let older = {
                let mut pot = world.pot.lock().unwrap();
                let place = pot.iter().position(|(n, _)| *n < capture.n);
                place.map(|place| pot.swap_remove(place))
            };
            if let Some((n, handle)) = older {
                match handle.join_or_stopped(stop) {
                    Ok(result) => world.check_result(n, result),
                    Err(handle) => drop(handle),
                }
            }
            saw = stop.is_set();
        }
        Plan::Spawn(seed) if !is_alone() => spawn(world, &mut Dice::new(seed)),
        Plan::Many(seed) if !is_alone() => {
            many(world, &mut Dice::new(seed), 0);
            // It has seen its stop if one of these has told it.
            saw = stop.is_set();
        }
        Plan::CallBack(seed) => world.call_back(stop, &mut Dice::new(seed)),
        Plan::StopPool => {
            world.event.get().unwrap().set();
        }
        Plan::Join | Plan::Spawn(_) | Plan::Many(_) => {}
    }
    if matches!(plan, Plan::CallBack(_)) {
        // It may have set its own event.
        saw = stop.is_set();
    }
    slot.end(if saw { CANCELLED } else { COMPLETED });
    capture.token()
}

/// A closure to be submitted.
pub(crate) fn closure(
    capture: Capture,
    plan: Plan,
) -> impl FnOnce(&StopEvent) -> Token + Send + 'static {
    move |stop| body(&capture, plan, stop)
}

/// Submits some tasks, and joins, waits for, cancels or forgets them.
fn spawn(world: &Arc<World>, dice: &mut Dice) {
    let mut children: Vec<Kept> = Vec::new();
    for _ in 0..=dice.below(3) {
        let Some(capture) = world.ticket(KNOWN) else {
            break;
        };
        let n = capture.n;
        let child = world
            .submitter()
            .submit(closure(capture, Plan::short(dice)));
        world.note_id(n, child.id());
        children.push((n, child));
    }
    match dice.below(8) {
        0 => {
            stoppable::wait_any(children.iter().map(|(_, child)| child));
        }
        1 => {
            stoppable::wait_all(children.iter().map(|(_, child)| child));
        }
        2 => return in_order_of_end(world, dice, children),
        _ => {}
    }
    for (n, child) in children {
        match dice.below(4) {
            0 => drop(child),
            1 => world.check_cancel(n, child.cancel()),
            _ => world.check_outcome(n, &child.outcome()),
        }
    }
}

/// Takes tasks as they end, with a time limit or without.
pub(crate) fn in_order_of_end(world: &World, dice: &mut Dice, tasks: Vec<Kept>) {
    let ids: Vec<_> = tasks.iter().map(|(n, task)| (task.id(), *n)).collect();
    let mut ended = as_completed(tasks.into_iter().map(|(_, task)| task));
    if dice.one_in(2) {
        ended = ended.timeout(dice.micros(200));
    }
    let known = |task: &TaskHandle<Token>| {
        let id = task.id();
        ids.iter().find(|(other, _)| *other == id).unwrap().1
    };
    for task in ended.by_ref() {
        let n = known(&task);
        match task.try_join() {
            Ok(result) => world.check_result(n, result),
            Err(_) => world.expect(false, || format!("task {n} was said to have ended")),
        }
    }
    for task in ended.into_remaining() {
        world.check_cancel(known(&task), task.cancel());
    }
}

/// Why a task of a scope fails.
pub(crate) struct Trouble;

impl From<Stopped> for Trouble {
    fn from(_: Stopped) -> Self {
        Trouble
    }
}

/// One of the ways to run many tasks together. What panics in it was one of its tasks or bodies.
pub(crate) fn many(world: &Arc<World>, dice: &mut Dice, depth: u64) {
    let way = dice.below(8);
    let result = catch_unwind(AssertUnwindSafe(|| match way {
        0..3 => scope(world, dice, depth),
        3..5 => try_scope(world, dice),
        5 => race(world, dice),
        6 => group(world, dice),
        _ => map(world, dice),
    }));
    drop(result);
}

fn member(dice: &mut Dice, depth: u64) -> Plan {
    if depth == 0 && dice.one_in(16) {
        Plan::Many(dice.roll())
    } else {
        Plan::short(dice)
    }
}

fn scope(world: &Arc<World>, dice: &mut Dice, depth: u64) {
    let (began, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    /// Counts, on the stack of the scope's owner, however the task ends.
    struct End<'a>(&'a AtomicUsize);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        world.submitter().scope(|s| {
            for _ in 0..=dice.below(5) {
                let Some(capture) = world.ticket(KNOWN) else {
                    break;
                };
                let n = capture.n;
                let plan = member(dice, depth);
                let (began, ended) = (&began, &ended);
                let task = s.submit(move |stop| {
                    began.fetch_add(1, Relaxed);
                    let _end = End(ended);
                    body(&capture, plan, stop)
                });
                world.note_id(n, task.id());
                match dice.below(8) {
                    0 => world.check_cancel(n, task.cancel()),
                    1 => world.check_member(n, &task.outcome()),
                    2 => task.cancel_after(dice.micros(100)),
                    3 => {
                        task.wait_timeout(dice.micros(50));
                    }
                    _ => drop(task),
                }
            }
            match dice.below(16) {
                0 => {
                    s.cancel();
                }
                1 => resume_unwind(Box::new("the body")),
                2 => s.stop_event().set_after(dice.micros(100)),
                _ => {}
            }
        })
    }));
    // All have ended, whatever came of it.
    let (began, ended) = (began.into_inner(), ended.into_inner());
    world.expect(began == ended, || {
        format!("a scope ended before its tasks: {began} began, {ended} ended")
    });
    drop(result);
}

fn try_scope(world: &Arc<World>, dice: &mut Dice) {
    let count = AtomicUsize::new(0);
    let result: Result<usize, Trouble> = world.submitter().try_scope(|s| {
        for _ in 0..=dice.below(5) {
            let Some(capture) = world.ticket(KNOWN) else {
                break;
            };
            let (n, plan, fails) = (capture.n, member(dice, 1), dice.one_in(4));
            let count = &count;
            let task = s.submit(move |stop| {
                count.fetch_add(1, Relaxed);
                let token = body(&capture, plan, stop);
                if fails { Err(Trouble) } else { Ok(token) }
            });
            world.note_id(n, task.id());
            match dice.below(4) {
                0 => world.expect_token(n, Some(&task.join()?)),
                1 => world.check_cancel(n, task.cancel()),
                _ => drop(task),
            }
        }
        if dice.one_in(8) {
            return Err(Trouble);
        }
        Ok(count.load(Relaxed))
    });
    drop(result);
}

fn race(world: &Arc<World>, dice: &mut Dice) {
    let runners = 1 + dice.below(6);
    let closures = (0..runners).map_while(|_| {
        let capture = world.ticket(NAMELESS)?;
        let (plan, fails) = (member(dice, 1), dice.one_in(2));
        Some(move |stop: &StopEvent| {
            let token = body(&capture, plan, stop);
            if fails { Err(Trouble) } else { Ok(token) }
        })
    });
    drop(world.submitter().race(closures));
}

fn group(world: &Arc<World>, dice: &mut Dice) {
    let group = world.submitter().group();
    for _ in 0..=dice.below(5) {
        let Some(capture) = world.ticket(KNOWN) else {
            break;
        };
        let n = capture.n;
        let task = group.submit(closure(capture, member(dice, 1)));
        world.note_id(n, task.id());
        match dice.below(5) {
            0 => world.check_cancel(n, task.cancel()),
            1 => world.check_member(n, &task.outcome()),
            2 => world.hear(n, &task),
            3 => {
                // As a future that nobody wants any more.
                let mut task = pin!(task);
                let _ = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            }
            _ => drop(task),
        }
    }
    match dice.below(5) {
        0 => drop(group),
        1 => {
            group.cancel();
        }
        2 => {
            let _ = group.wait_timeout(dice.micros(100));
        }
        _ => {
            let _ = group.wait();
        }
    }
}

fn map(world: &Arc<World>, dice: &mut Dice) {
    let (count, fetched) = (1 + dice.below(40), dice.below(60) as usize);
    let items = (0..count).map_while(|_| Some((world.ticket(NAMELESS)?, Plan::short(dice))));
    let mut map = world
        .submitter()
        .map(items, |(capture, plan), stop| body(&capture, plan, stop));
    let mut before = None;
    for result in map.by_ref().take(fetched) {
        match result {
            Ok(token) => {
                let n = token.n;
                world.check_outcome(n, &Outcome::Completed(token));
                world.expect(before < Some(n), || {
                    format!("map gave {n} after {before:?}")
                });
                before = Some(n);
            }
            Err(error) => drop(error),
        }
    }
}

/// Some point of time near now, or far from it.
pub(crate) fn some_time(dice: &mut Dice) -> Instant {
    let now = Instant::now();
    match dice.below(8) {
        0 => now,
        1 => now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
        2 => now.checked_add(Duration::from_secs(1 << 40)).unwrap_or(now),
        _ => now + dice.micros(500),
    }
}
