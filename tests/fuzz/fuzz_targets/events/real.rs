//! The same with real events. Callbacks reach them through a variable of the thread, so that none of them keeps an
//! event alive; nothing is called, set or dropped while that is borrowed.

use crate::act::{Act, When, pick};
use crate::model::Said;
use std::cell::RefCell;
use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use stoppable::{StopCallback, StopEvent, StopFuture, StopOnDrop, StopReason};

/// Counts.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// What a callback has captured.
struct Token(Arc<Count>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
pub(crate) struct Real {
    pub(crate) handles: Vec<Option<StopEvent>>,
    guards: Vec<Option<StopOnDrop>>,
    callbacks: Vec<Option<StopCallback>>,
    /// Of what each callback had captured.
    pub(crate) dropped: Vec<Arc<Count>>,
    futures: Vec<Option<StopFuture>>,
    pub(crate) woken: Vec<[Arc<Count>; 2]>,
    named: usize,
    pub(crate) said: Vec<Said>,
}

thread_local! {
    pub(crate) static REAL: RefCell<Real> = RefCell::default();
}

fn with<R>(what: impl FnOnce(&mut Real) -> R) -> R {
    REAL.with_borrow_mut(what)
}

fn say(said: Said) {
    with(|real| real.said.push(said));
}

fn handle(which: u8) -> Option<StopEvent> {
    with(|real| real.handles[pick(&real.handles, which)?].clone())
}

fn add(event: StopEvent) {
    with(|real| real.handles.push(Some(event)));
}

/// Takes out what is meant.
fn take<T>(which: u8, table: fn(&mut Real) -> &mut Vec<Option<T>>) -> Option<(usize, T)> {
    with(|real| {
        let all = table(real);
        let at = pick(all, which)?;
        Some((at, all[at].take()?))
    })
}

pub(crate) fn apply(act: &Act) {
    match *act {
        Act::New => add(StopEvent::new()),
        Act::Never => add(StopEvent::never()),
        Act::Any(ref of) => {
            let all: Vec<_> = of.iter().filter_map(|which| handle(*which)).collect();
            add(StopEvent::any(&all));
        }
        Act::Drop(which) => drop(take(which, |real| &mut real.handles)),
        Act::DropGuard(which) => {
            if let Some((_, guard)) = take(which, |real| &mut real.guards) {
                raise(|| drop(guard));
            }
        }
        Act::Disarm(which) => {
            if let Some((_, guard)) = take(which, |real| &mut real.guards) {
                add(guard.disarm());
            }
        }
        Act::Remove(which) => {
            if let Some((_, callback)) = take(which, |real| &mut real.callbacks) {
                say(Said::Removed(callback.remove()));
            }
        }
        Act::DropCallback(which) => drop(take(which, |real| &mut real.callbacks)),
        Act::Detach(which) => {
            if let Some((_, callback)) = take(which, |real| &mut real.callbacks) {
                callback.detach();
            }
        }
        Act::Poll(which, waker) => poll(which, waker),
        Act::DropFuture(which) => drop(take(which, |real| &mut real.futures)),
        Act::Panic => resume_unwind(Box::new("as it was told to")),
        Act::SetWith(which) => {
            with(|real| real.named += 1);
            if let Some(event) = handle(which) {
                apply_to(&event, act);
            }
        }
        Act::Child(which)
        | Act::Clone(which)
        | Act::Set(which)
        | Act::Deadline(which, _)
        | Act::SetOnDrop(which)
        | Act::OnSet(which, _)
        | Act::Future(which)
        | Act::Wait(which)
        | Act::Look(which) => {
            if let Some(event) = handle(which) {
                apply_to(&event, act);
            }
        }
    }
}

fn apply_to(event: &StopEvent, act: &Act) {
    match *act {
        Act::Child(_) => add(event.child()),
        Act::Clone(_) => add(event.clone()),
        Act::Set(_) => {
            let said = raise(|| event.set());
            say(Said::Set(said));
        }
        Act::SetWith(_) => {
            let reason = StopReason::custom(with(|real| real.named).to_string());
            let said = raise(|| event.set_with(reason));
            say(Said::Set(said));
        }
        Act::Deadline(_, when) => deadline(event, when),
        Act::SetOnDrop(_) => {
            let guard = event.set_on_drop();
            with(|real| real.guards.push(Some(guard)));
        }
        Act::OnSet(_, ref act) => on_set(event, act.clone()),
        Act::Future(_) => with(|real| {
            real.futures.push(Some(event.stopped()));
            real.woken.push(Default::default());
        }),
        Act::Wait(_) => wait(event),
        _ => {}
    }
}

/// Sets something, later by the clock too than whatever was set before.
fn raise<R>(set: impl FnOnce() -> R) -> R {
    let now = Instant::now();
    while Instant::now() == now {}
    set()
}

fn deadline(event: &StopEvent, when: When) {
    let hour = Duration::from_secs(3600);
    match when {
        When::Passed => raise(|| event.set_after(Duration::ZERO)),
        When::Soon => raise(|| {
            event.set_after(Duration::from_micros(20));
            let came = !event.can_be_set() || event.wait_timeout(hour);
            assert!(came, "the deadline came");
        }),
        When::InAnHour => event.set_after(hour),
        When::Never => event.set_after(Duration::MAX),
    }
}

fn wait(event: &StopEvent) {
    let is_set = event.wait_timeout(Duration::ZERO);
    assert_eq!(event.is_set(), is_set);
    assert_eq!(event.check().is_err(), is_set);
    assert_eq!(event.sleep(Duration::ZERO).is_err(), is_set);
    assert_eq!(event.wait_until(Instant::now()), is_set);
    if is_set {
        event.wait();
    }
    say(Said::Waited(is_set));
}

fn on_set(event: &StopEvent, act: Option<Box<Act>>) {
    let dropped = Arc::<Count>::default();
    let token = Token(Arc::clone(&dropped));
    let at = with(|real| {
        real.callbacks.push(None);
        real.dropped.push(dropped);
        real.callbacks.len() - 1
    });
    let callback = event.on_set(move || {
        let _token = token;
        say(Said::Ran(at));
        if let Some(act) = act {
            apply(&act);
        }
    });
    with(|real| real.callbacks[at] = Some(callback));
}

fn poll(which: u8, waker: bool) {
    let Some((at, mut future)) = take(which, |real| &mut real.futures) else {
        return;
    };
    let count = with(|real| Arc::clone(&real.woken[at][usize::from(waker)]));
    let waker = Waker::from(count);
    let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
    with(|real| real.futures[at] = Some(future));
    say(Said::Ready(polled == Poll::Ready(())));
}
