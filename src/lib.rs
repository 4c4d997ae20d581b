#![doc = include_str!("../README.md")]

#[cfg(all(test, not(loom)))]
mod allocated;
pub mod interop;
mod once;
mod pool;
mod report;
mod scope;
mod several;
mod stop;
mod sync;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod thread;
#[cfg(feature = "timeline")]
mod timeline;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub use interop::StopListener;
pub use interop::{
    CheckedStopIter, Disconnect, StopBarrier, StopBarrierWaitResult, StopCommand, StopCondvar,
    StopIter, StopReader, StopStream, StopWriter, UntilStopped,
};
#[cfg(unix)]
pub use interop::{StopOutputError, StoppableCommand};
pub use pool::{
    BuildError, Graceful, Map, SubmitError, Submitter, TaskBuilder, ThreadPool, ThreadPoolBuilder,
    UnhandledPanic,
};
pub use report::{
    Durations, Shutdown, ShutdownReport, Stats, Step, StopLatency, Straggler, Stragglers,
    TaskDetail, TaskId, TaskSnapshot, TaskStatus,
};
pub use scope::{Scope, ScopedHandle, TaskGroup, TryScope, TryScopedHandle};
pub use several::{
    AsCompleted, Waited, as_completed, wait_all, wait_all_timeout, wait_any, wait_any_timeout,
    wait_first_error, wait_first_error_timeout,
};
#[cfg(unix)]
pub use stop::StopFd;
pub use stop::{
    StopCallback, StopCause, StopEvent, StopFuture, StopOnDrop, StopReason, Stopped, current,
};
#[cfg(panic = "unwind")]
pub use task::unwind_if_stopped;
pub use task::{
    CancelOnDrop, CancelOutcome, Canceller, Outcome, PendingTask, TaskError, TaskErrorKind,
    TaskHandle,
};
pub use thread::{Runnable, StoppableThread, StoppableThreadBuilder};
#[cfg(feature = "timeline")]
pub use timeline::{Timeline, TimelineTask};
