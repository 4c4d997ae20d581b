//! Signals to child processes, and whether they have ended, as far as the standard library has no calls for it. Unix only.
//!
//! A process's number, and that of the group of which it is the leader, are its own until it is reaped: a zombie keeps them.
//! Afterwards they may be another's. So whoever calls this must not have reaped the child. All calls are made by
//! `process_child`, which reaps and knows.
//!
//! Two functions of the C library, which the standard library links anyway, are declared here. A crate for them would be a dependency
//! of everybody who uses this crate.

#![allow(unsafe_code, reason = "functions of the C library")]

use std::ffi::c_int;
use std::io;
use std::process::Child;

/// The same number on all systems: POSIX fixes it for the utility `kill`.
const SIGKILL: c_int = 9;
const SIGTERM: c_int = 15;

// SAFETY: that is their signature on all unix systems that Rust has a standard library for: `pid_t` is an `i32` there.
unsafe extern "C" {
    /// Touches no memory of ours. (That a signal may end processes is not a matter of memory.)
    safe fn kill(pid: i32, signal: c_int) -> c_int;
}

/// Its number, if it can be the target of a signal: 0, 1 and what is negative would mean others.
fn pid(child: &Child) -> Option<i32> {
    i32::try_from(child.id()).ok().filter(|&pid| pid > 1)
}

/// Asks it to end. The child has not been reaped.
pub(super) fn terminate(child: &Child) {
    if let Some(pid) = pid(child) {
        // It fails if the child may not be signalled: then there is nothing to be done.
        kill(pid, SIGTERM);
    }
}

/// Asks all processes of the group of that number to end. The child began as its leader, and has not been reaped.
///
/// The child may have gone to another group; even so nobody else can found one with this number.
pub(super) fn terminate_group(leader: &Child) {
    if let Some(pid) = pid(leader) {
        kill(-pid, SIGTERM);
    }
}

/// Kills all processes of the group, as [`terminate_group`] asks them.
pub(super) fn kill_group(leader: &Child) {
    if let Some(pid) = pid(leader) {
        kill(-pid, SIGKILL);
    }
}

/// Whether it has ended, without reaping it. The child has not been reaped. An error says that it was, by somebody else.
///
/// The numbers that `waitid` goes by are not the same everywhere. Where they are not known here, the answer is no.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn has_ended(child: &Child) -> io::Result<bool> {
    /// Larger than `siginfo_t`, which has 128 bytes and less, and aligned as it is. It begins with the signal's number.
    #[repr(C, align(16))]
    struct Info([c_int; 64]);

    // SAFETY: that is its signature there: `idtype_t` is an enumeration of a few small numbers, `id_t` an unsigned
    // number of 32 bits.
    unsafe extern "C" {
        fn waitid(idtype: c_int, id: u32, info: *mut Info, options: c_int) -> c_int;
    }

    const P_PID: c_int = 1;
    const WNOHANG: c_int = 1;
    const WEXITED: c_int = 4;
    const WNOWAIT: c_int = if cfg!(target_vendor = "apple") {
        0x20
    } else {
        0x0100_0000
    };

    let mut info = Info([0; 64]);
    // SAFETY: it writes one `siginfo_t`, for which there is room, and only during the call.
    let failed = unsafe { waitid(P_PID, child.id(), &mut info, WNOHANG | WEXITED | WNOWAIT) };
    // Nothing is written, or zeros, if it has not ended; else the number of SIGCHLD.
    match failed {
        0 => Ok(info.0[0] != 0),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn has_ended(_child: &Child) -> io::Result<bool> {
    Ok(false)
}
