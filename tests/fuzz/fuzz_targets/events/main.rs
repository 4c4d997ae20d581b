//! Bytes are a program of what is done with events, on one thread, and runs beside a small model: who is set, by which
//! set, which callbacks run, in which order, and what is dropped when. Callbacks set, drop, remove and register in turn.
#![no_main]

mod act;
mod model;
mod real;

use act::{Act, When, act};
use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use model::{Model, State};
use real::REAL;
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};
use stoppable::{StopCause, StopEvent};

/// Each, and what it does in a callback, may make one event: there are bits for 128.
const MOST: usize = 60;

/// The cause of each set, as it was first seen.
type Causes = BTreeMap<usize, StopCause>;

fn program(bytes: &mut Unstructured<'_>) -> Result<Vec<Act>> {
    let mut acts = Vec::new();
    while acts.len() < MOST && !bytes.is_empty() {
        acts.push(act(bytes, false)?);
    }
    Ok(acts)
}

fn handles() -> Vec<Option<StopEvent>> {
    REAL.with_borrow(|real| real.handles.clone())
}

/// The thread of the timers lets go of an event a moment after it has set it, and with it of those above.
fn comes(what: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !what() {
        if start.elapsed() > Duration::from_secs(10) {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// Compares what can be seen without a trace.
fn compare(model: &Model) {
    for (event, real) in model.handles.iter().zip(handles()) {
        let reads = event.map(|event| model.set_of(event).is_some());
        assert_eq!(real.map(|real| real.peek()), reads, "who is set");
    }
    REAL.with_borrow(|real| {
        assert_eq!(real.handles.len(), model.handles.len());
        assert_eq!(real.said, model.said, "what was said");
        let expected = model
            .states()
            .map(|state| usize::from(state == State::Gone));
        let dropped = real.dropped.iter().map(|count| count.get());
        assert!(dropped.eq(expected), "what callbacks had captured");
        let woken = real.woken.iter().map(|two| [two[0].get(), two[1].get()]);
        assert!(woken.eq(model.woken.iter().copied()), "who was woken");
    });
}

/// Compares the cause of an event.
fn look(at: usize, model: &Model, causes: &mut Causes) {
    let (Some(event), Some(real)) = (model.handles[at], &handles()[at]) else {
        return;
    };
    let (set, cause) = (model.set_of(event), real.cause());
    assert_eq!(cause.is_some(), set.is_some());
    if let (Some(set), Some(cause)) = (set, cause) {
        assert_eq!(cause.reason, model.sets[set], "why it is set");
        assert_eq!(*causes.entry(set).or_insert_with(|| cause.clone()), cause);
    }
}

fn run(acts: Vec<Act>) {
    let (mut model, mut causes) = (Model::default(), Causes::new());
    for act in acts {
        let act = match act {
            // It would be told on another thread.
            Act::Deadline(which, When::Soon) if !model.is_unheard(which) => {
                Act::Deadline(which, When::Passed)
            }
            other => other,
        };
        model.apply(&act);
        real::apply(&act);
        compare(&model);
        if let Act::Look(which) = act
            && let Some(at) = act::pick(&model.handles, which)
        {
            look(at, &model, &mut causes);
        }
    }
    for at in 0..model.handles.len() {
        look(at, &model, &mut causes);
    }
    let dropped = REAL.with_borrow(|real| real.dropped.clone());
    // Guards set what they guard, callbacks run then, and make what is to be dropped in turn.
    loop {
        drop(REAL.take());
        if REAL.with_borrow(|real| real.said.is_empty()) {
            break;
        }
    }
    let all_is_gone = || dropped.iter().all(|count| count.get() == 1);
    assert!(comes(all_is_gone), "something is left of a callback");
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(acts) = program(&mut Unstructured::new(bytes)) else {
        return;
    };
    if std::env::var_os("STOPPABLE_SHOW").is_some() {
        eprintln!("{acts:#?}");
    }
    run(acts);
});
