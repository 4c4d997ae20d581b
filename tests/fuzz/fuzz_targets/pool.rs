//! Bytes are a program of orders to a pool, which runs beside its specification: the same one as in
//! `tests/it/model`, by the same code. Here it is coverage of the library that guides what is tried.
//!
//! An order is one byte for its kind and one or two for what it is about, so that a change of one byte is a change of
//! one order, and what comes behind it stays as it was.
#![no_main]

#[allow(dead_code, reason = "what other tests share is in it too")]
#[path = "../../it/common.rs"]
mod common;
#[path = "../../it/model/program.rs"]
mod program;
#[path = "../../it/model/real.rs"]
mod real;
#[path = "../../it/model/spec.rs"]
mod spec;
#[path = "../../it/model/watch.rs"]
mod watch;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use program::Op;
use spec::Body;
use stoppable::Shutdown;

/// Longer programs find no more, and each order of theirs costs a look at all that there is.
const MOST: usize = 60;

const BODIES: [Body; 8] = [
    Body::Quick,
    Body::Gated,
    Body::Polls,
    Body::Waits,
    Body::Panics,
    Body::PanicsWhenAsked,
    Body::Joins,
    Body::Submits,
];

const MODES: [Shutdown; 3] = [Shutdown::Drain, Shutdown::CancelPending, Shutdown::StopAll];

fn one_of<T: Copy>(all: &[T], bytes: &mut Unstructured<'_>) -> Result<T> {
    let byte: u8 = bytes.arbitrary()?;
    Ok(all[usize::from(byte) % all.len()])
}

fn body(bytes: &mut Unstructured<'_>) -> Result<Body> {
    one_of(&BODIES, bytes)
}

fn bodies(bytes: &mut Unstructured<'_>) -> Result<Vec<Body>> {
    let count: u8 = bytes.arbitrary()?;
    (0..count % 5).map(|_| body(bytes)).collect()
}

/// Something that there is, counted round.
fn at(bytes: &mut Unstructured<'_>) -> Result<usize> {
    Ok(bytes.arbitrary::<u8>()?.into())
}

fn op(bytes: &mut Unstructured<'_>) -> Result<Op> {
    let kind: u8 = bytes.arbitrary()?;
    Ok(match kind % 28 {
        0 | 1 => Op::Submit(body(bytes)?),
        2 => Op::SubmitUnder(body(bytes)?, at(bytes)?),
        3 => Op::TrySubmit(body(bytes)?),
        4 => Op::Execute(body(bytes)?),
        5 => Op::SubmitAll(bodies(bytes)?),
        6 => Op::Scope(bodies(bytes)?),
        7 | 8 => Op::Open(at(bytes)?),
        9 => Op::Cancel(at(bytes)?),
        10 => Op::CancelLater(at(bytes)?),
        11 => Op::SetOfTask(at(bytes)?),
        12 => Op::DropHandle(at(bytes)?),
        13 => Op::Outcome(at(bytes)?),
        14 => Op::OnDone(at(bytes)?),
        15 => Op::Event,
        16 => Op::Child(at(bytes)?),
        17 => Op::Any(at(bytes)?, at(bytes)?),
        18 => Op::ChildOfTask(at(bytes)?),
        19 => Op::Set(at(bytes)?),
        20 => Op::OnSet(at(bytes)?),
        21 => Op::RemoveCallback(at(bytes)?),
        22 => Op::CancelPending,
        23 => Op::TakePending,
        24 => Op::RunTaken(at(bytes)?),
        25 => Op::DropTaken(at(bytes)?),
        26 => Op::BeginShutdown(one_of(&MODES, bytes)?),
        _ => Op::SetPool,
    })
}

fn program(bytes: &mut Unstructured<'_>) -> Result<(usize, Option<usize>, Vec<Op>)> {
    let threads = usize::from(bytes.arbitrary::<u8>()? % 3) + 1;
    let capacity = match bytes.arbitrary::<u8>()? % 16 {
        capacity @ 1..6 => Some(capacity.into()),
        _ => None,
    };
    let mut ops = Vec::new();
    while ops.len() < MOST && !bytes.is_empty() {
        ops.push(op(bytes)?);
    }
    Ok((threads, capacity, ops))
}

fuzz_target!(|bytes: &[u8]| {
    let Ok((threads, capacity, ops)) = program(&mut Unstructured::new(bytes)) else {
        return;
    };
    if std::env::var_os("STOPPABLE_SHOW").is_some() {
        eprintln!("{threads} threads, capacity {capacity:?}: {ops:#?}");
    }
    program::run(threads, capacity, &ops);
});
