//! The cell of a task: one allocation for its stop node, its lifecycle, its closure and, after it,
//! its value.
//!
//! A [`TaskRef`] is one counted pointer to a cell whose types have been forgotten. What needs the
//! types (running the closure, moving the value out) goes through the cell's table of functions.
//!
//! # Who may touch the contents
//!
//! The contents are the closure while the task is Pending, and from its end on the value or the
//! panic's payload. The table of `task/state.rs` says who may touch them when: every such right is
//! gained by exactly one thread with an atomic transition. The unsafe functions here name the right
//! that they use up; the callers in `task/life.rs` and `task/handle.rs` have it from the transition.
#![allow(
    unsafe_code,
    reason = "a closure and then its value live in one place behind a thin pointer"
)]

use super::context;
use super::home::{Home, home_of};
use super::stash;
use super::state::{State, Word};
use super::unwind::StopUnwind;
use crate::report::TaskId;
use crate::stop::StopEvent;
use crate::stop::node::{Kind, Node, NodeRef};
use crate::sync::{Arc, UnsafeCell};
use std::any::Any;
use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit, needs_drop};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send + 'static>;

/// What all cells begin with.
#[repr(C)]
pub(crate) struct Header {
    node: Node,
    table: &'static Table,
    id: TaskId,
}

#[repr(C)]
struct Cell<F, T, X> {
    header: Header,
    contents: UnsafeCell<Contents<F, T>>,
    extra: X,
}

/// Room for one of the three, at its start (`repr(C)`), so that a pointer to it is one to each.
#[repr(C)]
union Contents<F, T> {
    closure: ManuallyDrop<F>,
    value: ManuallyDrop<T>,
    payload: ManuallyDrop<Payload>,
}

/// What most tasks do without, and so have no room for.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) name: Option<Arc<str>>,
}

/// Whether a cell has room for an [`Extra`].
pub(crate) trait Room: Send + Sync + 'static {
    fn extra(&self) -> Option<&Extra>;
}

impl Room for () {
    fn extra(&self) -> Option<&Extra> {
        None
    }
}

impl Room for Extra {
    fn extra(&self) -> Option<&Extra> {
        Some(self)
    }
}

/// How a closure ended, with its value or payload left in the cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Value,
    /// It was unwound by `unwind_if_stopped`; nothing is left.
    Nothing,
    /// With the panic's message, if it has one.
    Payload(Option<Arc<str>>),
}

/// What needs a cell's types.
struct Table {
    free: unsafe fn(NonNull<Node>) -> Option<NodeRef>,
    call: unsafe fn(&TaskRef) -> Left,
    /// `None`: it owns nothing whose drop does something.
    drop_closure: Option<unsafe fn(&TaskRef)>,
    /// `None`: as above.
    drop_value: Option<unsafe fn(&TaskRef)>,
    move_value: unsafe fn(&TaskRef, NonNull<()>),
    take_payload: unsafe fn(&TaskRef) -> Payload,
    extra: fn(&TaskRef) -> Option<&Extra>,
}

impl Table {
    const fn of<F, T, X>() -> Table
    where
        F: FnOnce(&StopEvent) -> T,
        X: Room,
    {
        Table {
            free: free_cell::<F, T, X>,
            call: call::<F, T, X>,
            drop_closure: if needs_drop::<F>() {
                Some(drop_closure::<F, T, X>)
            } else {
                None
            },
            drop_value: if needs_drop::<T>() {
                Some(drop_value::<F, T, X>)
            } else {
                None
            },
            move_value: move_value::<F, T, X>,
            take_payload: take_payload::<F, T, X>,
            extra: extra::<F, T, X>,
        }
    }
}

/// Ties a table to its types, so that it can be borrowed for ever.
struct TableOf<F, T, X>(F, T, X);

impl<F, T, X> TableOf<F, T, X>
where
    F: FnOnce(&StopEvent) -> T,
    X: Room,
{
    const TABLE: &'static Table = &Table::of::<F, T, X>();
}

/// The node of a task.
static TASK: Kind = Kind {
    free: free_task,
    raise: super::life::raise,
    saw: |node| State::new(node.word()).note_seen(),
    reason: crate::stop::StopReason::Requested,
};

/// # Safety
///
/// As [`Kind::free`] says; the node was made by [`TaskRef::new`].
unsafe fn free_task(node: NonNull<Node>) -> Option<NodeRef> {
    // SAFETY: a node of this kind is the first field of a `Header` that is the first field of a
    // cell, and it is alive until the next line but one.
    let table = unsafe { node.cast::<Header>().as_ref() }.table;
    // SAFETY: passed on from our caller; the table is the cell's own.
    unsafe { (table.free)(node) }
}

/// # Safety
///
/// As [`free_task`]; and the cell is a `Cell<F, T, X>`.
unsafe fn free_cell<F, T, X>(node: NonNull<Node>) -> Option<NodeRef> {
    // SAFETY: the cell came from `Box::into_raw` in `TaskRef::new` with these types, and nobody else
    // points to it any more. Its contents, a union, are not dropped with it: whoever ended the task
    // or held its handle has moved them out or dropped them.
    let mut cell = unsafe { Box::from_raw(node.cast::<Cell<F, T, X>>().as_ptr()) };
    let parent = cell.header.node.take_parent()?;
    stash::give_back(parent)
}

/// # Safety
///
/// The task's cell is a `Cell<F, T, X>`, as it is when the function that calls this one was found
/// in the task's own table.
unsafe fn cell_of<F, T, X>(task: &TaskRef) -> &Cell<F, T, X> {
    // SAFETY: the pointer is valid for the whole cell (`TaskRef::new`), which is of these types as
    // the caller vouches, alive while `task` is borrowed, and only ever shared.
    unsafe { task.0.as_ptr().cast::<Cell<F, T, X>>().as_ref() }
}

/// Calls the closure and leaves what came of it in the cell.
///
/// # Safety
///
/// The cell is a `Cell<F, T, X>`, and the caller has claimed the task: the contents are the closure,
/// and the caller's alone until it finishes the task.
unsafe fn call<F, T, X>(task: &TaskRef) -> Left
where
    F: FnOnce(&StopEvent) -> T,
{
    // SAFETY: passed on from our caller.
    let cell = unsafe { cell_of::<F, T, X>(task) };
    // SAFETY: the contents are the closure and ours alone; it is not touched there again.
    let closure = cell
        .contents
        .with_mut(|it| unsafe { it.cast::<F>().read() });
    let event = given_event(task);
    let result = context::within(&event, || {
        catch_unwind(AssertUnwindSafe(|| closure(&event)))
    });
    match result {
        Ok(value) => {
            // SAFETY: the closure has been moved out, and the place is ours alone.
            cell.contents
                .with_mut(|it| unsafe { it.cast::<T>().write(value) });
            Left::Value
        }
        Err(payload) if payload.is::<StopUnwind>() && task.node().reads_set() => Left::Nothing,
        Err(payload) => {
            let message = super::panic_message(&*payload).map(Arc::from);
            // SAFETY: as for the value.
            cell.contents
                .with_mut(|it| unsafe { it.cast::<Payload>().write(payload) });
            Left::Payload(message)
        }
    }
}

/// The handle on its own event that a task's closure is lent while it runs.
fn given_event(task: &TaskRef) -> ManuallyDrop<StopEvent> {
    let node = task.0.as_ptr();
    // SAFETY: the reference is never dropped, so it gives up no count; it lives on the stack of
    // `call`, throughout which `task` is borrowed and keeps its own count.
    let event = unsafe { NodeRef::from_raw(node) };
    // SAFETY: as above.
    let observer = unsafe { NodeRef::from_raw(node) };
    ManuallyDrop::new(StopEvent::given(event, observer))
}

/// # Safety
///
/// The cell is a `Cell<F, T, X>`, and the caller has cancelled the task while it was pending: the
/// contents are the closure, and the caller's alone. Nobody drops it twice.
unsafe fn drop_closure<F, T, X>(task: &TaskRef) {
    // SAFETY: passed on from our caller.
    let cell = unsafe { cell_of::<F, T, X>(task) };
    // SAFETY: the contents are the closure and ours alone; it is not touched there again.
    let closure = cell
        .contents
        .with_mut(|it| unsafe { it.cast::<F>().read() });
    drop(closure);
}

/// # Safety
///
/// The cell is a `Cell<F, T, X>`, the task has ended with a value, and the value is the caller's
/// alone. Nobody drops it or moves it out twice.
unsafe fn drop_value<F, T, X>(task: &TaskRef) {
    // SAFETY: passed on from our caller.
    let cell = unsafe { cell_of::<F, T, X>(task) };
    // SAFETY: the contents are the value and ours alone; it is not touched there again.
    let value = cell
        .contents
        .with_mut(|it| unsafe { it.cast::<T>().read() });
    drop(value);
}

/// # Safety
///
/// As [`drop_value`]; and `place` is good for writing a `T`.
unsafe fn move_value<F, T, X>(task: &TaskRef, place: NonNull<()>) {
    // SAFETY: passed on from our caller.
    let cell = unsafe { cell_of::<F, T, X>(task) };
    // SAFETY: the contents are the value and ours alone; it is not touched there again.
    let value = cell
        .contents
        .with_mut(|it| unsafe { it.cast::<T>().read() });
    // SAFETY: the caller vouches for the place.
    unsafe { place.cast::<T>().write(value) };
}

/// # Safety
///
/// The cell is a `Cell<F, T, X>`, the task has ended with a panic, and the payload is the caller's
/// alone. Nobody takes it twice.
unsafe fn take_payload<F, T, X>(task: &TaskRef) -> Payload {
    // SAFETY: passed on from our caller.
    let cell = unsafe { cell_of::<F, T, X>(task) };
    // SAFETY: the contents are the payload and ours alone; it is not touched there again.
    cell.contents
        .with_mut(|it| unsafe { it.cast::<Payload>().read() })
}

fn extra<F, T, X: Room>(task: &TaskRef) -> Option<&Extra> {
    let cell = task.0.as_ptr().cast::<Cell<F, T, X>>().as_ptr();
    // SAFETY: this function is called through the task's own table alone, so the types are right; the
    // cell lives as long as `task` is borrowed, and its extra is only ever shared. (A borrow of the
    // whole cell would borrow what a closure or value of a scope borrows; this does not.)
    let extra: &X = unsafe { &(*cell).extra };
    extra.extra()
}

/// What a new task is made of, besides its closure.
pub(crate) struct Birth<X> {
    /// The home, or a node under it.
    pub(crate) parent: NodeRef,
    pub(crate) id: TaskId,
    /// The first word of its lifecycle.
    pub(crate) word: u32,
    /// How many references it is born with.
    pub(crate) count: u32,
    pub(crate) extra: X,
}

/// One counted pointer to a task.
///
/// Invariant: its node is the first field of the header of a cell that [`TaskRef::new`] made, and
/// the pointer may be used for the whole cell.
pub(crate) struct TaskRef(NodeRef);

impl TaskRef {
    /// A new task, and one of the references that it is born with; [`twin`](Self::twin) gives the
    /// others.
    ///
    /// # Safety
    ///
    /// The closure and the value are gone before anything that they borrow ends. (Trivially so when
    /// both are `'static`.)
    pub(crate) unsafe fn new<F, T, X>(birth: Birth<X>, closure: F) -> TaskRef
    where
        F: FnOnce(&StopEvent) -> T + Send,
        T: Send,
        X: Room,
    {
        let Birth {
            parent,
            id,
            word,
            count,
            extra,
        } = birth;
        let cell = Box::new(Cell::<F, T, X> {
            header: Header {
                node: Node::new(word, count, &TASK, Some(parent)),
                table: TableOf::<F, T, X>::TABLE,
                id,
            },
            contents: UnsafeCell::new(Contents {
                closure: ManuallyDrop::new(closure),
            }),
            extra,
        });
        let node = NonNull::from(Box::leak(cell)).cast::<Node>();
        // SAFETY: the node is at the start of the header, which is at the start of the cell (both
        // are `repr(C)`), so the pointer is one to the node and valid for the whole cell. The cell
        // may be used and freed on any thread: closure, value and payload are `Send` and touched by
        // one thread at a time; the header is atomics and shared data; `X` is `Send` and `Sync`.
        // This reference takes one of the counts.
        TaskRef(unsafe { NodeRef::from_raw(node) })
    }

    /// One more of the references that the task was born with.
    ///
    /// # Safety
    ///
    /// The task was born with a count for each reference that is made by this, and one more.
    pub(crate) unsafe fn twin(&self) -> TaskRef {
        // SAFETY: the caller vouches for the count; the pointer is this reference's.
        TaskRef(unsafe { NodeRef::from_raw(self.0.as_ptr()) })
    }

    /// The task behind a node of kind `TASK`, which is the only kind that calls this.
    pub(super) fn behind(node: &NodeRef) -> TaskRef {
        debug_assert!(std::ptr::eq(node.kind(), &TASK), "a node of another kind");
        TaskRef(node.clone())
    }

    /// The task at `node`, without a count of its own.
    ///
    /// # Safety
    ///
    /// The pointer is that of a living task's [`TaskRef`], and what this returns is not dropped.
    pub(super) unsafe fn lent(node: NonNull<Node>) -> TaskRef {
        // SAFETY: the pointer is a `NodeRef`'s, so it is valid for the whole cell; the count that it
        // would give up is not given up, as the caller vouches.
        TaskRef(unsafe { NodeRef::from_raw(node) })
    }

    pub(crate) fn node(&self) -> &NodeRef {
        &self.0
    }

    pub(crate) fn state(&self) -> State<'_> {
        State::new(self.0.word())
    }

    pub(crate) fn home(&self) -> &Home {
        home_of(&self.0)
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    pub(crate) fn shared_name(&self) -> Option<&Arc<str>> {
        (self.table.extra)(self)?.name.as_ref()
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.shared_name().map(|name| &**name)
    }

    pub(crate) fn same(&self, other: &TaskRef) -> bool {
        self.0.same(&other.0)
    }

    /// Calls the closure. Whatever it does, this returns.
    ///
    /// # Safety
    ///
    /// The caller has claimed the task, and calls this once.
    pub(super) unsafe fn call(&self) -> Left {
        // SAFETY: the table is the cell's own; the rest is passed on from our caller.
        unsafe { (self.table.call)(self) }
    }

    /// Drops the closure, with a panic of its captures contained.
    ///
    /// # Safety
    ///
    /// The caller has cancelled the task while it was pending, and calls this once.
    pub(super) unsafe fn drop_closure(&self) {
        if let Some(drop_closure) = self.table.drop_closure {
            context::contained(|| {
                // SAFETY: the table is the cell's own; the rest is passed on from our caller.
                unsafe { drop_closure(self) }
            });
        }
    }

    /// Drops what the task left, with a panic contained. Tells the host of a panic that nobody
    /// will hear of otherwise.
    ///
    /// # Safety
    ///
    /// `word` is one of the task's after its end, the right to the outcome is the caller's, and it
    /// uses it once.
    pub(super) unsafe fn drop_outcome(&self, word: Word) {
        if word.has_value() {
            if let Some(drop_value) = self.table.drop_value {
                context::contained(|| {
                    // SAFETY: the table is the cell's own, the task left a value, and the rest is
                    // passed on from our caller.
                    unsafe { drop_value(self) }
                });
            }
        } else if word.status() == crate::report::TaskStatus::Panicked {
            // SAFETY: the task left a payload; the right to it is our caller's.
            let payload = unsafe { self.take_payload() };
            context::contained(|| {
                let home = self.home();
                home.host.unhandled_panic(self.id(), self.name(), &*payload);
            });
            context::contained(|| drop(payload));
        }
    }

    /// Moves the value out.
    ///
    /// # Safety
    ///
    /// `T` is the type of the task's value, the task left a value, the right to the outcome is the
    /// caller's, and it uses it once.
    pub(super) unsafe fn take_value<T>(&self) -> T {
        let mut place = MaybeUninit::<T>::uninit();
        let pointer = NonNull::from(&mut place).cast::<()>();
        // SAFETY: the table is the cell's own; the place is a `T`'s; the rest is passed on from our
        // caller.
        unsafe { (self.table.move_value)(self, pointer) };
        // SAFETY: it was written to by the line above.
        unsafe { place.assume_init() }
    }

    /// Moves the payload out.
    ///
    /// # Safety
    ///
    /// The task panicked, the right to the outcome is the caller's, and it uses it once.
    pub(super) unsafe fn take_payload(&self) -> Payload {
        // SAFETY: the table is the cell's own; the rest is passed on from our caller.
        unsafe { (self.table.take_payload)(self) }
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        TaskRef(self.0.clone())
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: by the invariant of `TaskRef` the node is the first field of a header, which lives
        // as long as this reference and is only ever shared.
        unsafe { self.0.as_ptr().cast::<Header>().as_ref() }
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("status", &self.state().load().status())
            .finish_non_exhaustive()
    }
}
