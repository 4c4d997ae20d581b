//! How a pool's threads are started: all of them, or none.

use crate::pool::build_error::{BuildError, Kind};
use crate::pool::shared::Core;
use crate::pool::worker::{self, Ready, StopWith};
use crate::task::context::dispose;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

/// Starts all threads, then waits for all of their start hooks.
pub(super) fn start(
    core: &Core,
    stop_with: &StopWith,
    names: Vec<String>,
) -> Result<(), BuildError> {
    let (ready, readiness) = mpsc::channel::<Ready>();
    let mut failed = None;
    for (lane, name) in names.into_iter().enumerate() {
        if let Err(error) = spawn(core, lane, stop_with.clone(), name, ready.clone()) {
            failed = Some(Kind::Spawn(error));
            break;
        }
    }
    drop(ready);
    for started in readiness {
        match (started, &failed) {
            (Err(payload), None) => failed = Some(Kind::Hook(payload.into())),
            (Err(payload), Some(_)) => dispose(payload),
            (Ok(()), _) => {}
        }
    }
    match failed {
        Some(kind) => Err(kind.into()),
        None => Ok(()),
    }
}

fn spawn(
    core: &Core,
    lane: usize,
    stop_with: StopWith,
    name: String,
    ready: mpsc::Sender<Ready>,
) -> io::Result<()> {
    let builder = thread::Builder::new()
        .name(name)
        .stack_size(core.shared.stack_size);
    core.shared.thread_started();
    let main = {
        let core = core.clone();
        move || worker::main(core, lane, stop_with, ready)
    };
    // A stack size near the largest number makes the standard library panic instead of fail.
    let spawned = catch_unwind(AssertUnwindSafe(|| builder.spawn(main)));
    let thread = spawned.unwrap_or_else(|payload| {
        dispose(payload);
        let size = core.shared.stack_size;
        let text = format!("a stack of {size} bytes cannot be had");
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    });
    match thread {
        Ok(thread) => {
            core.shared.keep_thread(thread);
            Ok(())
        }
        Err(error) => {
            core.shared.thread_ended(&core.home);
            Err(error)
        }
    }
}
