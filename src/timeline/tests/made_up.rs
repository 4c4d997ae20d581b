//! Lives of pools that never were.

use crate::report::{TaskId, TaskStatus};
use crate::sync::Arc;
use crate::timeline::{Timeline, TimelineTask};
use std::time::Duration;

/// Numbers that look random, the same in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.below(1 << 30) as f64 / f64::from(1 << 30)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(3) > 0).then(|| value(self))
    }
}

/// A task of which nothing is known.
pub(super) fn blank(id: u64, status: TaskStatus) -> TimelineTask {
    TimelineTask {
        id: TaskId::new(id),
        name: None,
        status,
        lane: None,
        depth: 0,
        submitted: None,
        started: None,
        asked: None,
        seen: None,
        ended: None,
        cause: None,
    }
}

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A task of the first worker that completed.
pub(super) fn ran(id: u64, from: f64, to: f64) -> TimelineTask {
    TimelineTask {
        lane: Some(0),
        submitted: Some(Duration::ZERO),
        started: Some(seconds(from)),
        ended: Some(seconds(to)),
        ..blank(id, TaskStatus::Completed)
    }
}

/// A pool that was busy, and was stopped when three quarters of the time were over.
pub(super) fn life(threads: usize, count: u64, length: f64, seed: u64) -> Timeline {
    let mut random = Random::new(seed);
    let mut free = vec![0.0_f64; threads];
    let mut tasks = Vec::new();
    let stop = 0.75 * length;
    let mean = stop * threads as f64 / count as f64 * 1.9;
    for id in 0..count {
        let lane = (0..threads).min_by(|a, b| free[*a].total_cmp(&free[*b]));
        let lane = lane.unwrap_or(0);
        let submitted = stop * 0.7 * id as f64 / count as f64;
        let started = f64::max(free[lane] + mean * 0.05 * random.share(), submitted);
        let ended = started + mean * 2.0 * random.share() * (0.2 + random.share());
        let mut task = ran(id, started, ended);
        task.submitted = Some(seconds(submitted));
        task.lane = Some(lane);
        task.name = random.maybe(|random| {
            random
                .pick(&["thumbnail", "read index", "fsync", "sum <&>"])
                .into()
        });
        if started > stop {
            let mut never = blank(id, TaskStatus::NeverStarted);
            never.submitted = task.submitted;
            never.asked = Some(seconds(stop));
            never.ended = Some(seconds(stop + length * 1e-3 * random.share()));
            tasks.push(never);
            continue;
        }
        if ended > stop {
            ask(&mut task, &mut random, stop, length);
        } else if random.below(60) == 0 {
            task.status = TaskStatus::Panicked;
        }
        free[lane] = task.ended.map_or(length, |ended| ended.as_secs_f64());
        if random.below(8) == 0 {
            nest(&mut tasks, &task, count);
        }
        tasks.push(task);
    }
    Timeline::new(Some("indexer".into()), threads, seconds(length), tasks, 0)
}

/// A task that was running when the pool was stopped.
fn ask(task: &mut TimelineTask, random: &mut Random, stop: f64, length: f64) {
    task.asked = Some(seconds(stop));
    task.cause = Some("shut down, 0.1 s ago, at src/main.rs:12:5".to_owned());
    let latency = 0.2 * length * random.share();
    if random.below(4) == 0 {
        task.status = TaskStatus::Running;
        task.ended = None;
    } else {
        task.status = TaskStatus::Cancelled;
        task.seen = Some(seconds(stop + latency * random.share()));
        task.ended = Some(seconds(stop + latency));
    }
}

/// Two tasks that were joined, and run, inside of another, one of them by the other.
fn nest(tasks: &mut Vec<TimelineTask>, outer: &TimelineTask, count: u64) {
    let (Some(started), Some(ended)) = (outer.started, outer.ended) else {
        return;
    };
    let whole = ended.saturating_sub(started);
    for depth in 1..=2 {
        let mut inner = outer.clone();
        inner.id = TaskId::new(outer.id.as_u64() + count * u64::from(depth));
        inner.name = Some("part".into());
        inner.status = TaskStatus::Completed;
        (inner.asked, inner.seen, inner.cause) = (None, None, None);
        inner.depth = depth;
        inner.started = Some(started + whole / 4 * depth);
        inner.ended = Some(ended - whole / 8 * depth);
        tasks.push(inner);
    }
}

/// Everything at random, whether it makes sense or not.
pub(super) fn wild(seed: u64, count: u64) -> Timeline {
    let mut random = Random::new(seed);
    let all = [
        1,
        1_000,
        1_000_000,
        3_000_000_000,
        86_400_000_000_000 * 9,
        0,
    ];
    let length = random.pick(&all);
    let threads = random.below(65) as usize;
    let tasks = (0..count)
        .map(|id| wild_task(&mut random, id, length))
        .collect();
    let name = random.maybe(|random| nasty(random).into());
    let left_out = random.below(2) * 5_000;
    Timeline::new(name, threads, Duration::from_nanos(length), tasks, left_out)
}

fn wild_task(random: &mut Random, id: u64, length: u64) -> TimelineTask {
    let statuses = [
        TaskStatus::Completed,
        TaskStatus::Cancelled,
        TaskStatus::Panicked,
        TaskStatus::NeverStarted,
        TaskStatus::Running,
        TaskStatus::Pending,
    ];
    let time = |random: &mut Random| match random.below(50) {
        0 => Duration::MAX,
        _ => Duration::from_nanos(random.below(length + length / 8 + 2)),
    };
    TimelineTask {
        id: TaskId::new(id),
        name: random.maybe(|random| Arc::from(nasty(random))),
        status: random.pick(&statuses),
        lane: random.maybe(|random| random.below(66) as usize),
        depth: random.below(7) as u32,
        submitted: random.maybe(time),
        started: random.maybe(time),
        asked: random.maybe(time),
        seen: random.maybe(time),
        ended: random.maybe(time),
        cause: random.maybe(nasty),
    }
}

/// A text that begs to be escaped.
fn nasty(random: &mut Random) -> String {
    let parts = [
        "<",
        "&",
        "\"",
        "'",
        "]]>",
        "\\",
        "\n",
        "\0",
        "\u{1b}[0m",
        "\u{85}",
        "\u{202e}",
        "\u{ffff}",
        "日本",
        "🦀",
        "name",
        "--",
    ];
    (0..random.below(30)).map(|_| random.pick(&parts)).collect()
}
