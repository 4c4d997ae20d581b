//! Stop events: a tree of flags that are set once.
//!
//! - `event`: the handle that users hold, and the rule of *seeing*.
//! - `node`, `node_ref`: what it points to. The one atomic word, the invariants; the counted pointer,
//!   and what is done with it: the walk of a poll, setting, listening.
//! - `cause`, `cause_cell`: why, when and where; and the room for it in a node.
//! - `listeners`, `wait`, `parker`: those who block until it is set.
//! - `callback`, `future`: code and tasks of other runtimes that hear of it.
//! - `fd`: a file descriptor that is readable when it is set.
//! - `timer`: deadlines, and the thread that keeps them.
//! - `any`: events with several parents.
//! - `countdown`: events that count their polls, for tests of the user's.
//! - `guard`: sets it on drop.
//! - `ambient`: the event of the task that runs on a thread.
//!
//! A poll walks from the node to its ancestors. Nothing is passed down: a parent knows nothing of its
//! children, so making, dropping and polling a child never touches a lock of the parent's. Who blocks
//! puts itself on the list of every node up to the root.

pub(crate) mod ambient;
pub(crate) mod any;
mod callback;
mod cause;
mod cause_cell;
pub(crate) mod clock;
#[cfg(feature = "testing")]
pub(crate) mod countdown;
mod event;
#[cfg(unix)]
mod fd;
mod future;
mod guard;
pub(crate) mod listeners;
#[cfg(all(test, loom))]
mod loom_tests;
pub(crate) mod node;
mod node_ref;
pub(crate) mod parker;
#[cfg_attr(loom, path = "no_timer.rs")]
pub(crate) mod timer;
pub(crate) mod wait;

pub use ambient::current;
pub use callback::StopCallback;
pub use cause::{StopCause, StopReason, Stopped};
pub use event::StopEvent;
#[cfg(unix)]
pub use fd::StopFd;
pub use future::StopFuture;
pub use guard::StopOnDrop;
