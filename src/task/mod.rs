//! A task, from its birth to its one end.
//!
//! - `state`: the table of states, and every transition, in one atomic word.
//! - `cell`, `contents`: the one allocation of a task; what is unsafe about it.
//! - `slab`: the cells of a batch, many in one allocation.
//! - `entry`: a task or a slab, as it lies in a queue.
//! - `life`: running, cancelling, ending; counted in the ledger and told to listeners.
//! - `group`: the node that tasks of a scope are under, and waiting for all of them.
//! - `home`: the root that a pool's tasks are under, and what they know of the pool.
//! - `context`: what a thread knows of the task that it runs and the pool that it works for.
//! - `pending`: tasks that their owner starts, and no pool.
//! - `no_pool`: how tasks without a pool are born, and the home that they are under.
//! - `slot`: where a worker shows the task that it runs.
//! - `stash`, `depot`: references to the home and memory of cells, kept by each thread and passed on.
//! - `wait`: waiting for a task, and why a worker runs it instead.
//! - `done`: callbacks and wakers that hear of an end.
//! - `handle`, `canceller`, `outcome`, `error`: what users see.
//! - `unwind`: leaving a task from deep inside.
//! - `trace`: spans and events, if anybody wants them.
//!
//! # Who holds a reference
//!
//! The queue, until the task is taken from it (a task that was cancelled stays there as a husk, its
//! closure gone, until it is taken or swept); the worker that runs it; the handle and its clones that
//! cancel; stop events and children made from them; and whoever waits. A task holds one reference to
//! its parent, the pool's home or a node under it, and so keeps the ledger and the (empty) queue alive,
//! but no thread.
//!
//! A task that was handed back, or never had a pool, is in no queue: its `PendingTask` has that reference.
//!
//! A task names no pool. It knows its home, which has the ledger that counts it and a host to call;
//! and, when a worker waits for it, a [`Worker`](context::Worker) that can run it.

mod canceller;
pub(crate) mod cell;
mod contents;
pub(crate) mod context;
mod depot;
mod done;
pub(crate) mod entry;
mod error;
pub(crate) mod group;
mod handle;
pub(crate) mod home;
pub(crate) mod life;
#[cfg(all(test, loom))]
mod loom_tests;
pub(crate) mod no_pool;
mod outcome;
mod pending;
#[cfg(all(test, not(loom)))]
mod samples;
pub(crate) mod slab;
pub(crate) mod slot;
pub(crate) mod stash;
pub(crate) mod state;
pub(crate) mod trace;
mod unwind;
mod wait;

pub use canceller::{CancelOnDrop, Canceller};
pub(crate) use error::panic_message;
pub use error::{TaskError, TaskErrorKind};
pub use handle::TaskHandle;
pub use life::CancelOutcome;
pub use outcome::Outcome;
pub use pending::PendingTask;
pub(crate) use unwind::is_stop_unwind;
#[cfg(panic = "unwind")]
pub use unwind::unwind_if_stopped;
