//! Durations, counts and names in words; the same rules for both formats.

use super::TimelineTask;
use crate::report::TaskStatus;
use std::fmt;
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration to three figures or two units: `850 µs`, `1.23 s`, `2 h 5 min`.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (unit, word) = match nanos {
            0 => return f.write_str("0"),
            1..1_000 => return write!(f, "{nanos} ns"),
            1_000..1_000_000 => (1e3, "µs"),
            1_000_000..1_000_000_000 => (1e6, "ms"),
            _ if self.0.as_secs() < 2 * MINUTE => (1e9, "s"),
            _ => return compound(f, self.0.as_secs(), 2),
        };
        let value = nanos as f64 / unit;
        let digits = match value {
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        let number = format!("{value:.digits$}");
        let number = match number.contains('.') {
            true => number.trim_end_matches('0').trim_end_matches('.'),
            false => &number,
        };
        write!(f, "{number} {word}")
    }
}

/// Days, hours, minutes and seconds, without those that are zero, and at most so many of them.
pub(super) fn compound(f: &mut impl fmt::Write, seconds: u64, most: usize) -> fmt::Result {
    let parts = [
        (seconds / DAY, "d"),
        (seconds % DAY / HOUR, "h"),
        (seconds % HOUR / MINUTE, "min"),
        (seconds % MINUTE, "s"),
    ];
    let parts = parts.into_iter().skip_while(|(value, _)| *value == 0);
    let parts = parts.take(most).filter(|(value, _)| *value > 0);
    for (n, (value, word)) in parts.enumerate() {
        let space = if n == 0 { "" } else { " " };
        write!(f, "{space}{} {word}", Count(value))?;
    }
    Ok(())
}

/// A number with its thousands apart: `10,000`.
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (n, digit) in digits.chars().enumerate() {
            if n > 0 && (digits.len() - n) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// So many of a thing: `1 task`, `2 tasks`.
pub(super) struct Of(pub(super) u64, pub(super) &'static str);

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", Count(self.0), self.1)
    }
}

/// At most so many characters of a text; an ellipsis stands for the rest.
pub(super) fn shorten(text: &str, most: usize) -> String {
    let Some((cut, _)) = text.char_indices().nth(most) else {
        return text.to_owned();
    };
    let kept = text[..cut].char_indices().last();
    let kept = kept.map_or(0, |(last, _)| last);
    format!("{}…", &text[..kept])
}

/// Text for inside of an XML element or attribute. What XML cannot hold, and what would turn the
/// text around it, is replaced.
pub(super) struct Xml<'a>(pub(super) &'a str);

impl fmt::Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' | '\t' => f.write_str(" ")?,
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_str("\u{fffd}")?,
                '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}")?,
                _ if char.is_control() => f.write_str("\u{fffd}")?,
                _ => write!(f, "{char}")?,
            }
        }
        Ok(())
    }
}

/// What the pointer over a task shows: several lines, ready for XML.
pub(super) struct Tooltip<'a>(pub(super) &'a TimelineTask, pub(super) Duration);

impl fmt::Display for Tooltip<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tooltip(task, length) = *self;
        write!(f, "{}", task.id)?;
        if let Some(name) = task.name() {
            write!(f, " {}", Xml(&shorten(name, 60)))?;
        }
        write!(f, " ({})", status_words(task))?;
        let waited = task.waited(length);
        let (begin, end) = task.span(length);
        match (waited, task.has_begun()) {
            (Some(waited), true) => write!(f, "\nwaited {}, ", Span(waited))?,
            (None, true) => f.write_str("\n")?,
            (Some(waited), false) => write!(f, "\nwaited {}", Span(waited))?,
            (None, false) => {}
        }
        if task.has_begun() {
            write!(f, "ran {} from {}", Span(end - begin), Span(begin))?;
        }
        stop_line(f, task)?;
        match task.cause() {
            Some(cause) => write!(f, "\n{}", Xml(&shorten(cause, 80))),
            None => Ok(()),
        }
    }
}

fn stop_line(f: &mut fmt::Formatter<'_>, task: &TimelineTask) -> fmt::Result {
    let Some(asked) = task.asked else {
        return Ok(());
    };
    write!(f, "\nasked at {}", Span(asked))?;
    if task.has_begun() {
        match task.seen {
            Some(seen) => write!(f, ", seen {} later", Span(seen.saturating_sub(asked)))?,
            None => f.write_str(", not seen")?,
        }
    }
    match task.ended {
        Some(ended) => write!(f, ", ended {} later", Span(ended.saturating_sub(asked))),
        None => f.write_str(", not ended"),
    }
}

fn status_words(task: &TimelineTask) -> &'static str {
    match task.status {
        TaskStatus::Pending => "pending",
        TaskStatus::Running => "still running",
        TaskStatus::Completed if task.asked.is_some() => "completed although asked to stop",
        TaskStatus::Completed => "completed",
        TaskStatus::Cancelled => "cancelled",
        TaskStatus::NeverStarted => "never started",
        TaskStatus::Panicked => "panicked",
    }
}
