//! The user's own code that a pool calls.

use crate::report::TaskId;
use std::any::Any;
use std::fmt;

type ThreadHook = Box<dyn Fn() + Send + Sync>;
type PanicHook = Box<dyn Fn(&UnhandledPanic<'_>) + Send + Sync>;
type ThreadName = Box<dyn FnMut(usize) -> String + Send>;

#[derive(Default)]
pub(crate) struct Hooks {
    pub(super) thread_start: Option<ThreadHook>,
    pub(super) thread_stop: Option<ThreadHook>,
    pub(super) unhandled_panic: Option<PanicHook>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("thread_start", &self.thread_start.is_some())
            .field("thread_stop", &self.thread_stop.is_some())
            .field("unhandled_panic", &self.unhandled_panic.is_some())
            .finish()
    }
}

/// How the worker threads are named.
#[derive(Default)]
pub(crate) struct Naming(pub(super) Option<ThreadName>);

impl fmt::Debug for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Naming").field(&self.0.is_some()).finish()
    }
}

/// A panic of a task whose handle was dropped or never made, for
/// [`ThreadPoolBuilder::on_unhandled_panic`](crate::ThreadPoolBuilder::on_unhandled_panic).
pub struct UnhandledPanic<'a> {
    id: TaskId,
    name: Option<&'a str>,
    payload: &'a (dyn Any + Send),
}

impl<'a> UnhandledPanic<'a> {
    pub(super) fn new(id: TaskId, name: Option<&'a str>, payload: &'a (dyn Any + Send)) -> Self {
        UnhandledPanic { id, name, payload }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The task's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name
    }

    /// What the panic carries.
    pub fn payload(&self) -> &(dyn Any + Send) {
        self.payload
    }

    /// The panic's message, if it carries one.
    pub fn message(&self) -> Option<&str> {
        crate::task::panic_message(self.payload)
    }
}

impl fmt::Debug for UnhandledPanic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnhandledPanic")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}
