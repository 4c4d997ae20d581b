//! What is kept of freed memory, of which size, how much of it, and what is used first.

use super::*;
use crate::allocated::bytes_kept_by;

fn class(size: usize) -> Class {
    let layout = Layout::from_size_align(size, STEP).expect("a layout");
    Class::of(layout).expect("a size that is kept")
}

/// Cells that are freed, on the thread to which the shelf belongs. Says where they were.
fn give(shelf: &mut Shelf, class: Class, count: usize, depot: &Depot) -> Vec<NonNull<u8>> {
    let new = |_| {
        // SAFETY: the layout has a size.
        let place = NonNull::new(unsafe { alloc::alloc(class.layout()) });
        let place = place.expect("there is memory");
        // SAFETY: it was allocated with the layout of the class just now.
        unsafe { shelf.give(class, place, depot) };
        let pair = &shelf.pairs[class.0];
        for magazine in [&pair.current, &pair.other] {
            assert!(magazine.len() <= MAGAZINE && magazine.capacity() <= MAGAZINE);
        }
        place
    };
    (0..count).map(new).collect()
}

/// Takes memory until there is none. Says where it was.
fn take_all(shelf: &mut Shelf, class: Class, depot: &Depot) -> Vec<NonNull<u8>> {
    let mut taken = Vec::new();
    while let Some(place) = shelf.take(class, depot) {
        taken.push(place);
    }
    for place in &taken {
        Place(*place).free(class);
    }
    taken
}

fn empty_magazines(depot: &Depot) -> usize {
    depot.inner.lock().empty.len()
}

#[test]
fn small_cells_of_words_are_kept_and_each_size_is_a_class() {
    let kept = LEAST..LEAST + CLASSES * STEP;
    let mut bits = 0;
    for size in 1..2 * kept.end {
        for align in [1, STEP / 2, STEP, 2 * STEP] {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            let is_kept = kept.contains(&size) && size % STEP == 0 && align == STEP;
            let Some(class) = Class::of(layout) else {
                assert!(!is_kept, "{layout:?}");
                continue;
            };
            assert!(is_kept && class.layout() == layout, "{layout:?}");
            assert_eq!((class.bit().count_ones(), bits & class.bit()), (1, 0));
            bits |= class.bit();
        }
    }
}

#[test]
fn what_was_freed_last_is_used_first() {
    let (depot, mut shelf, class) = (Depot::new(), Shelf::new(), class(88));
    // One more than goes into a magazine, so that both are in use.
    let given = give(&mut shelf, class, MAGAZINE + 1, &depot);
    let taken = take_all(&mut shelf, class, &depot);
    assert!(taken.iter().eq(given.iter().rev()));
}

#[test]
fn a_size_is_not_taken_for_another() {
    let (depot, mut shelf) = (Depot::new(), Shelf::new());
    let (small, large) = (class(LEAST), class(LEAST + STEP));
    give(&mut shelf, small, 4 * MAGAZINE, &depot);
    assert_eq!(shelf.take(large, &depot), None);
    assert!(depot.has(small) && !depot.has(large));
    give(&mut shelf, large, 4 * MAGAZINE, &depot);
    assert!(depot.has(small) && depot.has(large));
    assert_eq!(take_all(&mut shelf, small, &depot).len(), 4 * MAGAZINE);
    assert!(!depot.has(small) && depot.has(large));
    assert_eq!(take_all(&mut shelf, large, &depot).len(), 4 * MAGAZINE);
    assert!(!depot.has(small) && !depot.has(large));
}

#[test]
fn a_shelf_keeps_two_magazines_and_passes_on_what_is_more() {
    let (depot, class) = (Depot::new(), class(64));
    let (mut frees, mut submits) = (Shelf::new(), Shelf::new());
    let mut given = give(&mut frees, class, 2 * MAGAZINE, &depot);
    assert!(!depot.has(class));
    assert_eq!(submits.take(class, &depot), None);
    given.extend(give(&mut frees, class, 1, &depot));
    assert!(depot.has(class));
    let mut taken = take_all(&mut submits, class, &depot);
    assert_eq!(taken.len(), MAGAZINE);
    taken.extend(take_all(&mut frees, class, &depot));
    given.sort_unstable();
    taken.sort_unstable();
    assert_eq!(given, taken);
}

#[test]
fn a_depot_keeps_so_many_magazines_of_each_size() {
    let (depot, mut shelf) = (Depot::new(), Shelf::new());
    let most = (MOST + 2) * MAGAZINE;
    for class in [class(64), class(88)] {
        give(&mut shelf, class, most + 5 * MAGAZINE, &depot);
        assert_eq!(depot.inner.lock().full[class.0].len(), MOST);
        let mut other = Shelf::new();
        assert_eq!(take_all(&mut other, class, &depot).len(), MOST * MAGAZINE);
        let left = take_all(&mut shelf, class, &depot).len();
        assert!((MAGAZINE + 1..=2 * MAGAZINE).contains(&left), "{left}");
    }
}

#[test]
fn emptied_magazines_are_kept_and_used_again() {
    let (depot, classes) = (Depot::new(), [class(64), class(88)]);
    let mut shelf = Shelf::new();
    for class in classes {
        give(&mut shelf, class, (MOST + 2) * MAGAZINE, &depot);
    }
    let take = |class| {
        // One that has held something; `take` gives another for it.
        let mut magazine = Vec::with_capacity(MAGAZINE);
        depot.take(class, &mut magazine);
        assert_eq!(magazine.len(), MAGAZINE);
        free_all(&mut magazine, class.0);
    };
    // One that never has is not worth being kept.
    let mut magazine = Vec::new();
    depot.take(classes[0], &mut magazine);
    assert_eq!(empty_magazines(&depot), 0);
    for emptied in 1..MOST {
        take(classes[0]);
        assert_eq!(empty_magazines(&depot), emptied);
    }
    for _ in 0..MOST {
        take(classes[1]);
        assert_eq!(empty_magazines(&depot), MOST);
    }
    assert!(depot.put(classes[0], &mut magazine));
    assert_eq!((magazine.len(), magazine.capacity()), (0, MAGAZINE));
    assert_eq!(empty_magazines(&depot), MOST - 1);
}

#[test]
fn no_memory_is_lost() {
    let life = |end: fn(&Depot)| {
        bytes_kept_by(|| {
            let (depot, mut shelf) = (Depot::new(), Shelf::new());
            for class in [class(64), class(72), class(256)] {
                let given = give(&mut shelf, class, 40 * MAGAZINE, &depot);
                assert_eq!(given.len(), 40 * MAGAZINE);
            }
            end(&depot);
            give(&mut shelf, class(64), 3 * MAGAZINE, &depot);
        })
    };
    assert_eq!(life(|_| ()), 0);
    assert_eq!(life(Depot::close), 0);
}

#[test]
fn a_closed_depot_keeps_nothing() {
    let (depot, mut shelf, class) = (Depot::new(), Shelf::new(), class(64));
    give(&mut shelf, class, 5 * MAGAZINE, &depot);
    let memory = MAGAZINE * class.layout().size();
    let freed = -bytes_kept_by(|| depot.close());
    assert!(freed >= 3 * memory.cast_signed(), "{freed} bytes");
    give(&mut shelf, class, 5 * MAGAZINE, &depot);
    assert!(!depot.has(class));
    assert_eq!(take_all(&mut Shelf::new(), class, &depot).len(), 0);
}
