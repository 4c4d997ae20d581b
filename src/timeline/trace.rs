//! The tasks as trace events in JSON, in the format that Chrome's tracing began with.

use super::plan::lane;
use super::{Timeline, TimelineTask, strip};
use crate::report::TaskStatus;
use std::fmt::{self, Result, Write};
use std::time::Duration;

/// Everything is in one process; viewers keep 0 for themselves.
const PROCESS: u32 = 1;

/// The thread with the number of its process would be shown as the main thread, which no worker is.
const FIRST_THREAD: usize = PROCESS as usize + 1;

pub(super) fn write(timeline: &Timeline) -> String {
    let mut out = String::from("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    // Nothing can go wrong: it is a string.
    let _ = write_events(&mut out, timeline);
    out.push_str("\n]}\n");
    out
}

fn write_events(out: &mut String, timeline: &Timeline) -> Result {
    let pool = timeline.pool_name().unwrap_or("pool");
    write!(
        out,
        r#"{{"name":"process_name","ph":"M","pid":{PROCESS},"tid":0,"args":{{"name":{}}}}}"#,
        Json(pool)
    )?;
    write_threads(out, timeline)?;
    for task in &timeline.tasks {
        if !task.has_begun() {
            write_tick(out, timeline, task)?;
        } else if lane(timeline, task) < timeline.threads {
            write_slice(out, timeline, task)?;
        } else {
            write_elsewhere(out, timeline, task)?;
        }
    }
    Ok(())
}

/// The threads' names, and their order: the workers, what ran elsewhere, what never began.
fn write_threads(out: &mut String, timeline: &Timeline) -> Result {
    for worker in 0..timeline.threads {
        write_thread(out, FIRST_THREAD + worker, &format!("worker {worker}"))?;
    }
    let begun = |task: &TimelineTask| task.has_begun() && lane(timeline, task) == timeline.threads;
    if timeline.tasks.iter().any(begun) {
        write_thread(out, FIRST_THREAD + timeline.threads, "elsewhere")?;
    }
    for status in [TaskStatus::NeverStarted, TaskStatus::Pending] {
        if timeline.count(status) > 0 {
            write_thread(out, tick_thread(timeline, status), &status.to_string())?;
        }
    }
    Ok(())
}

fn tick_thread(timeline: &Timeline, status: TaskStatus) -> usize {
    match status {
        TaskStatus::Pending => FIRST_THREAD + timeline.threads + 2,
        _ => FIRST_THREAD + timeline.threads + 1,
    }
}

fn write_thread(out: &mut String, thread: usize, name: &str) -> Result {
    let place = format!(r#""ph":"M","pid":{PROCESS},"tid":{thread}"#);
    write!(
        out,
        ",\n{{\"name\":\"thread_name\",{place},\"args\":{{\"name\":{}}}}}",
        Json(name)
    )?;
    write!(
        out,
        ",\n{{\"name\":\"thread_sort_index\",{place},\"args\":{{\"sort_index\":{thread}}}}}"
    )
}

/// A task that a worker ran, and its moments.
fn write_slice(out: &mut String, timeline: &Timeline, task: &TimelineTask) -> Result {
    let (begin, end) = task.span(timeline.length);
    let thread = FIRST_THREAD + lane(timeline, task);
    begin_event(out, task, "X", thread, begin)?;
    write!(out, r#","dur":{}"#, Micros(end - begin))?;
    write_args(out, timeline, task)?;
    for (name, at) in [("asked", task.asked), ("seen", task.seen)] {
        if let Some(at) = at {
            let at = Micros(at.clamp(begin, end));
            write!(
                out,
                ",\n{{\"name\":\"{name}\",\"ph\":\"i\",\"s\":\"t\",\"ts\":{at},\"pid\":{PROCESS},\"tid\":{thread},\"args\":{{\"task\":{}}}}}",
                task.id.as_u64()
            )?;
        }
    }
    Ok(())
}

/// A task that no worker ran. Several may overlap, so that it cannot be a slice.
fn write_elsewhere(out: &mut String, timeline: &Timeline, task: &TimelineTask) -> Result {
    let (begin, end) = task.span(timeline.length);
    for (phase, at) in [("b", begin), ("e", end)] {
        begin_event(out, task, phase, FIRST_THREAD + timeline.threads, at)?;
        write!(out, r#","id":{}"#, task.id.as_u64())?;
        write_args(out, timeline, task)?;
    }
    Ok(())
}

/// A task that has not begun.
fn write_tick(out: &mut String, timeline: &Timeline, task: &TimelineTask) -> Result {
    let at = strip::moment(task).unwrap_or(timeline.length);
    let thread = tick_thread(timeline, task.status);
    begin_event(out, task, "i", thread, at.min(timeline.length))?;
    out.push_str(r#","s":"t""#);
    write_args(out, timeline, task)
}

fn begin_event(
    out: &mut String,
    task: &TimelineTask,
    phase: &str,
    thread: usize,
    at: Duration,
) -> Result {
    out.push_str(",\n{\"name\":");
    match task.name() {
        Some(name) => write!(out, "{}", Json(name))?,
        None => write!(out, "\"{}\"", task.id)?,
    }
    let (status, at) = (task.status, Micros(at));
    write!(
        out,
        r#","cat":"{status}","ph":"{phase}","ts":{at},"pid":{PROCESS},"tid":{thread}"#
    )
}

/// What a viewer shows of a chosen task; the end of the event.
fn write_args(out: &mut String, timeline: &Timeline, task: &TimelineTask) -> Result {
    write!(
        out,
        r#","args":{{"id":{},"status":"{}""#,
        task.id.as_u64(),
        task.status
    )?;
    let (begin, end) = task.span(timeline.length);
    let since_asked = |at: Option<Duration>| Some(at?.saturating_sub(task.asked?));
    let times = [
        ("waited_us", task.waited(timeline.length)),
        ("ran_us", task.has_begun().then_some(end - begin)),
        ("asked_at_us", task.asked),
        ("asked_to_seen_us", since_asked(task.seen)),
        ("asked_to_ended_us", since_asked(task.ended)),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            write!(out, r#","{name}":{}"#, Micros(time))?;
        }
    }
    if let Some(cause) = task.cause() {
        write!(out, r#","cause":{}"#, Json(cause))?;
    }
    out.push_str("}}");
    Ok(())
}

/// A time in microseconds, exact to the nanosecond.
struct Micros(Duration);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> Result {
        let nanos = self.0.as_nanos();
        write!(f, "{}.{:03}", nanos / 1_000, nanos % 1_000)
    }
}

/// A text as a JSON string, in quotes.
pub(super) struct Json<'a>(pub(super) &'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> Result {
        f.write_char('"')?;
        for char in self.0.chars() {
            match char {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                _ if char.is_control() => write!(f, "\\u{:04x}", u32::from(char))?,
                _ => f.write_char(char)?,
            }
        }
        f.write_char('"')
    }
}
