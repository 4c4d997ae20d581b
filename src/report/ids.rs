//! Which task ended how, for every task of a pool's life.
//!
//! Ids are dense and most tasks complete, so only the exceptions are kept, and a completed task is
//! one that is not here. Ids are kept in chunks of 1,024: a few of them as a sorted list of three
//! or four bytes each, more of them as four bits for each id of the chunk. An exception costs at
//! most some tens of bytes when exceptions are rare and half a byte when they are not.

use std::collections::BTreeMap;

/// How a task ended, if it did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mark {
    Cancelled = 1,
    NeverStarted = 2,
    Panicked = 3,
    Refused = 4,
    Taken = 5,
}

impl Mark {
    const ALL: [Mark; 5] = [
        Mark::Cancelled,
        Mark::NeverStarted,
        Mark::Panicked,
        Mark::Refused,
        Mark::Taken,
    ];

    fn from_bits(bits: u8) -> Option<Mark> {
        Mark::ALL.into_iter().find(|mark| *mark as u8 == bits)
    }
}

const CHUNK_BITS: u32 = 10;
const CHUNK_IDS: usize = 1 << CHUNK_BITS;
/// Above this many, a list takes more memory than four bits for each id of the chunk.
const LIST_MOST: usize = CHUNK_IDS / 2 / size_of::<(u16, Mark)>();

#[derive(Clone, Debug)]
enum Chunk {
    /// Sorted by the offset in the chunk.
    List(Vec<(u16, Mark)>),
    /// Four bits for each id.
    Table(Box<[u8; CHUNK_IDS / 2]>),
}

impl Chunk {
    fn insert(&mut self, offset: u16, mark: Mark) {
        match self {
            Chunk::Table(table) => set_bits(table, offset, mark),
            Chunk::List(list) if list.len() < LIST_MOST => {
                // Ids mostly come in order.
                if list.last().is_none_or(|(last, _)| *last < offset) {
                    list.push((offset, mark));
                    return;
                }
                let place = list.partition_point(|(other, _)| *other < offset);
                list.insert(place, (offset, mark));
            }
            Chunk::List(list) => {
                let mut table = Box::new([0; CHUNK_IDS / 2]);
                for (other, mark) in list.iter() {
                    set_bits(&mut table, *other, *mark);
                }
                set_bits(&mut table, offset, mark);
                *self = Chunk::Table(table);
            }
        }
    }

    /// The offsets with that mark, rising.
    fn offsets(&self, mark: Mark) -> impl Iterator<Item = u16> + '_ {
        let (list, table) = match self {
            Chunk::List(list) => (list.as_slice(), 0..0),
            Chunk::Table(_) => (&[][..], 0..CHUNK_IDS as u16),
        };
        let listed = list.iter().filter(move |(_, other)| *other == mark);
        let listed = listed.map(|(offset, _)| *offset);
        listed.chain(table.filter(move |offset| self.get(*offset) == Some(mark)))
    }

    fn get(&self, offset: u16) -> Option<Mark> {
        match self {
            Chunk::Table(table) => {
                let byte = table[usize::from(offset / 2)];
                Mark::from_bits(byte >> shift(offset) & 0xf)
            }
            Chunk::List(list) => {
                let place = list.binary_search_by_key(&offset, |(other, _)| *other);
                place.ok().map(|place| list[place].1)
            }
        }
    }
}

fn shift(offset: u16) -> u16 {
    offset % 2 * 4
}

fn set_bits(table: &mut [u8; CHUNK_IDS / 2], offset: u16, mark: Mark) {
    table[usize::from(offset / 2)] |= (mark as u8) << shift(offset);
}

/// A mark for each id that has one. An id is marked at most once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// The chunk that was used last, kept out of the map: ids mostly come close together.
    open: Option<(u64, Chunk)>,
    closed: BTreeMap<u64, Chunk>,
}

impl Marks {
    pub(crate) fn insert(&mut self, id: u64, mark: Mark) {
        let (index, offset) = place(id);
        match &mut self.open {
            Some((open, chunk)) if *open == index => chunk.insert(offset, mark),
            _ => {
                self.close();
                let closed = self.closed.remove(&index);
                let mut chunk = closed.unwrap_or(Chunk::List(Vec::new()));
                chunk.insert(offset, mark);
                self.open = Some((index, chunk));
            }
        }
    }

    fn close(&mut self) {
        if let Some((index, chunk)) = self.open.take() {
            self.closed.insert(index, chunk);
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Mark> {
        let (index, offset) = place(id);
        let chunk = match &self.open {
            Some((open, chunk)) if *open == index => Some(chunk),
            _ => self.closed.get(&index),
        };
        chunk.and_then(|chunk| chunk.get(offset))
    }

    /// The ids with that mark, rising, of a snapshot.
    pub(crate) fn ids(&self, mark: Mark) -> impl Iterator<Item = u64> + '_ {
        debug_assert!(self.open.is_none(), "a snapshot");
        self.closed.iter().flat_map(move |(index, chunk)| {
            let ids = chunk.offsets(mark).map(u64::from);
            ids.map(move |offset| (index << CHUNK_BITS) + offset)
        })
    }

    /// A copy to look things up in later.
    pub(crate) fn snapshot(&mut self) -> Marks {
        self.close();
        self.clone()
    }
}

fn place(id: u64) -> (u64, u16) {
    let offset = id % CHUNK_IDS as u64;
    (
        id >> CHUNK_BITS,
        u16::try_from(offset).expect("an offset in a chunk is below 1,024"),
    )
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn marks_agree_with_a_plain_map() {
        let mut marks = Marks::default();
        let mut plain = HashMap::new();
        // A full chunk, a sparse one, one filled backwards, and ids far apart.
        let ids = (0..1024)
            .chain((5000..6000).step_by(97))
            .chain((20_000..22_000).rev().step_by(3))
            .chain((0..60).map(|bit| (1 << bit) + 100_000));
        for (n, id) in ids.enumerate() {
            let mark = Mark::ALL[n % 5];
            marks.insert(id, mark);
            plain.insert(id, mark);
        }
        for id in (0..30_000).chain(plain.keys().copied()) {
            assert_eq!(marks.get(id), plain.get(&id).copied(), "id {id}");
        }
        let copy = marks.snapshot();
        for id in plain.keys() {
            assert_eq!(copy.get(*id), plain.get(id).copied());
        }
        for mark in Mark::ALL {
            let with_it = plain.iter().filter(|(_, other)| **other == mark);
            let mut ids: Vec<_> = with_it.map(|(id, _)| *id).collect();
            ids.sort_unstable();
            assert!(copy.ids(mark).eq(ids));
        }
    }

    #[test]
    fn a_million_marks_take_half_a_byte_each() {
        let mut marks = Marks::default();
        for id in 0..1_000_000 {
            marks.insert(id, Mark::NeverStarted);
        }
        marks.close();
        let tables = marks
            .closed
            .values()
            .filter(|c| matches!(c, Chunk::Table(_)));
        assert_eq!(tables.count(), marks.closed.len());
        assert_eq!(marks.closed.len(), 1_000_000_usize.div_ceil(CHUNK_IDS));
    }
}
