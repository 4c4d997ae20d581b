//! The tests of `stoppable` as its users see it: one behaviour a file.
#![expect(
    clippy::unwrap_used,
    reason = "a test that unwraps in vain has failed, in its helpers too"
)]

mod any;
mod any_shared;
mod auto_traits;
mod batch;
mod begin;
#[cfg(target_os = "linux")]
mod blocked;
mod builder;
mod cancel;
mod cancel_after;
mod capacity;
mod common;
mod current;
mod deadline;
mod drops;
mod event;
mod event_tree;
#[cfg(unix)]
mod fd;
mod features;
mod figures;
mod future;
mod graceful;
mod handed_back;
mod handle;
mod interop;
mod join_inside;
mod join_or_stopped;
mod latency;
mod map;
mod model;
mod no_pool;
mod on_done;
mod on_set;
mod panics;
mod queue;
mod report;
mod scope;
mod seeing;
mod several;
mod shutdown;
mod stopped;
mod stress;
mod submit;
mod task_limits;
#[cfg(feature = "testing")]
mod testing;
mod thread;
#[cfg(feature = "timeline")]
mod timeline;
#[cfg(feature = "tracing")]
mod tracing;
