//! What a program does with events. Numbers name what there is by then.

use arbitrary::{Result, Unstructured};

#[derive(Clone, Debug)]
pub(crate) enum Act {
    New,
    Never,
    Child(u8),
    Any(Vec<u8>),
    Clone(u8),
    Drop(u8),
    Set(u8),
    /// With a reason that no other set has.
    SetWith(u8),
    Deadline(u8, When),
    SetOnDrop(u8),
    DropGuard(u8),
    Disarm(u8),
    /// The callback does one thing itself.
    OnSet(u8, Option<Box<Act>>),
    Remove(u8),
    DropCallback(u8),
    Detach(u8),
    Future(u8),
    /// With one of two wakers.
    Poll(u8, bool),
    DropFuture(u8),
    /// Waits no time.
    Wait(u8),
    /// Asks for the cause, which an event then keeps. All else that is compared leaves no trace in it.
    Look(u8),
    /// In a callback.
    Panic,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Passed,
    /// Waited for.
    Soon,
    InAnHour,
    Never,
}

/// Which one is meant: the first there is from there on, counted round.
pub(crate) fn pick<T>(all: &[Option<T>], which: u8) -> Option<usize> {
    let places = (0..all.len()).map(|n| (usize::from(which) + n) % all.len());
    places.into_iter().find(|at| all[*at].is_some())
}

/// One byte for the kind, one for what it is about.
pub(crate) fn act(bytes: &mut Unstructured<'_>, is_inside: bool) -> Result<Act> {
    let kind: u8 = bytes.arbitrary()?;
    let mut at = || bytes.arbitrary::<u8>();
    Ok(match kind % 25 {
        0 => Act::New,
        1 => Act::Never,
        2 | 3 => Act::Child(at()?),
        4 => {
            let count = at()? % 4;
            Act::Any((0..count).map(|_| at()).collect::<Result<_>>()?)
        }
        5 => Act::Clone(at()?),
        6 | 7 => Act::Drop(at()?),
        8 => Act::Set(at()?),
        9 => Act::SetWith(at()?),
        10 => Act::Deadline(at()?, when(at()?, is_inside)),
        11 => Act::SetOnDrop(at()?),
        12 => Act::DropGuard(at()?),
        13 => Act::Disarm(at()?),
        14 => Act::OnSet(at()?, None),
        15 | 16 => {
            let event = at()?;
            let inner = match is_inside {
                true => None,
                false => Some(Box::new(act(bytes, true)?)),
            };
            Act::OnSet(event, inner)
        }
        17 => Act::Remove(at()?),
        18 => Act::DropCallback(at()?),
        19 => Act::Detach(at()?),
        20 => Act::Future(at()?),
        21 => {
            let byte = at()?;
            Act::Poll(byte >> 1, byte & 1 == 1)
        }
        22 => Act::DropFuture(at()?),
        23 => match is_inside {
            true => Act::Panic,
            false => Act::Wait(at()?),
        },
        _ => Act::Look(at()?),
    })
}

fn when(byte: u8, is_inside: bool) -> When {
    match byte % 8 {
        0..3 => When::Passed,
        // The thread of the timers would be waited for.
        3 if !is_inside => When::Soon,
        4 => When::Never,
        _ => When::InAnHour,
    }
}
