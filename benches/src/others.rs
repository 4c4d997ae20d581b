//! How much of the machine other processes have.
//!
//! One busy thread of another session is enough for the kernel to keep all threads of this process
//! on one processor for seconds (it weighs sessions, not threads), and then a row tells of a
//! machine with one processor.
//!
//! Read from Linux's accounts, in steps of ten milliseconds; elsewhere it is zero. What the
//! hypervisor took for its other guests counts too.

use std::fs;

/// The accounts at one moment, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Of all processors.
    all: f64,
    /// Of all processors, while they were not idle.
    busy: f64,
    /// Of this process.
    ours: f64,
}

impl Account {
    /// That of now.
    pub fn now() -> Option<Account> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let ticks = numbers(stat.lines().next()?.strip_prefix("cpu")?);
        // user, nice, system, idle, iowait, irq, softirq, steal; then what is in user and nice too.
        let all: f64 = ticks.iter().take(8).sum();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        let this = fs::read_to_string("/proc/self/stat").ok()?;
        // Behind the name, which may contain anything: the state, then ten numbers, then user and
        // system.
        let (_, behind) = this.rsplit_once(") ")?;
        let ours = numbers(behind.split_once(' ')?.1);
        Some(Account {
            all,
            busy: all - idle,
            ours: ours.iter().skip(10).take(2).sum(),
        })
    }

    /// Which part of the machine others had since then.
    pub fn others_since(then: Option<Account>) -> f64 {
        let (Some(then), Some(now)) = (then, Account::now()) else {
            return 0.0;
        };
        let ours = now.ours - then.ours;
        let others = now.busy - then.busy - ours;
        (others / (now.all - then.all).max(1.0)).max(0.0)
    }
}

fn numbers(text: &str) -> Vec<f64> {
    let words = text.split_whitespace();
    words.map_while(|word| word.parse().ok()).collect()
}
