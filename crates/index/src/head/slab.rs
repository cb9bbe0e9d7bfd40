//! Memory for many short arrays that come and go.
//!
//! 1. An array lies in a cell of the smallest class of cells that holds it; there are four classes for each doubling of the length, so that at
//!    most a fifth of a cell is empty, and less on the average.
//! 2. Cells of a class stand in pages. A cell that is given back is the next that is given out, so that what is replaced over and over takes no
//!    more than it took at its largest.
//! 3. A cell is known by its number in its class; the class follows from the length, which the owner knows anyway.

/// Elements of a page, unless one cell is larger.
const PAGE_LEN: usize = 4096;
/// Cells up to this length have a class each.
const FINE_LEN: usize = 8;

#[derive(Debug)]
pub(super) struct Slab<T> {
    classes: Vec<Class<T>>,
}

#[derive(Debug)]
struct Class<T> {
    width: usize,
    cells_per_page: usize,
    pages: Vec<Box<[T]>>,
    free: Vec<u32>,
    /// Cells that were ever given out.
    used: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { classes: Vec::new() }
    }
}

/// The class of arrays of `len` elements.
#[inline]
fn class_of(len: usize) -> usize {
    if len <= FINE_LEN {
        return len.max(1) - 1;
    }
    // For lengths above 2^e up to 2^(e+1) the widths are 2^e and one to four quarters of it.
    let e = (len - 1).ilog2() as usize;
    let quarters = (len - (1 << e)).div_ceil(1 << (e - 2));
    FINE_LEN + (e - 3) * 4 + quarters - 1
}

/// How long an array may be without needing another class.
#[inline]
pub(super) fn width_of(len: usize) -> usize {
    if len <= FINE_LEN {
        return len.max(1);
    }
    let e = (len - 1).ilog2() as usize;
    (len - (1 << e)).next_multiple_of(1 << (e - 2)) + (1 << e)
}

impl<T: Copy + Default> Slab<T> {
    /// Keeps a copy of `array` and gives its number.
    pub(super) fn add(&mut self, array: &[T]) -> u32 {
        let cell = self.reserve(array.len());
        self.get_mut(cell, array.len()).copy_from_slice(array);
        cell
    }

    fn reserve(&mut self, len: usize) -> u32 {
        let class = class_of(len);
        while self.classes.len() <= class {
            // Classes ascend in width, and this one is the next.
            let width = self.classes.last().map_or(1, |last| width_of(last.width + 1));
            let cells_per_page = (PAGE_LEN / width).max(1);
            self.classes.push(Class { width, cells_per_page, pages: Vec::new(), free: Vec::new(), used: 0 });
        }
        let class = &mut self.classes[class];
        debug_assert_eq!(class.width, width_of(len));
        if let Some(cell) = class.free.pop() {
            return cell;
        }
        if class.used as usize == class.pages.len() * class.cells_per_page {
            class.pages.push(vec![T::default(); class.width * class.cells_per_page].into());
        }
        class.used = class.used.checked_add(1).expect("BUG: 2^32 cells of one class");
        class.used - 1
    }

    /// The array of `len` elements that was given the number `cell`.
    #[inline]
    pub(super) fn get(&self, cell: u32, len: usize) -> &[T] {
        let class = &self.classes[class_of(len)];
        let (page, at) = (cell as usize / class.cells_per_page, cell as usize % class.cells_per_page * class.width);
        &class.pages[page][at..at + len]
    }

    /// As [`Slab::get`], to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, cell: u32, len: usize) -> &mut [T] {
        let class = &mut self.classes[class_of(len)];
        let (page, at) = (cell as usize / class.cells_per_page, cell as usize % class.cells_per_page * class.width);
        &mut class.pages[page][at..at + len]
    }

    /// Gives the cell of an array of `len` elements back.
    pub(super) fn remove(&mut self, cell: u32, len: usize) {
        self.classes[class_of(len)].free.push(cell);
    }

    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        let class_bytes = |class: &Class<T>| {
            class.pages.len() * class.width * class.cells_per_page * size_of::<T>() + class.free.capacity() * 4
        };
        self.classes.iter().map(class_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_and_classes_agree() {
        let mut last = (0, 0);
        for len in 1..5000 {
            let now = (class_of(len), width_of(len));
            assert!(now.1 >= len && now.1 <= len + len.div_ceil(4), "{len}: {now:?}");
            assert!(now == last || now.0 == last.0 + usize::from(len > 1), "{len}: {last:?} {now:?}");
            last = now;
        }
    }

    #[test]
    fn arrays_come_back_and_cells_are_used_again() {
        let mut slab: Slab<u32> = Slab::default();
        let arrays: Vec<Vec<u32>> = (0..3000u32).map(|i| (0..i % 97 + 1).map(|j| i * 100 + j).collect()).collect();
        let mut cells: Vec<u32> = arrays.iter().map(|array| slab.add(array)).collect();
        let bytes = slab.bytes();
        for _ in 0..10 {
            for (array, cell) in arrays.iter().zip(&cells) {
                assert_eq!(slab.get(*cell, array.len()), array);
                slab.remove(*cell, array.len());
            }
            cells = arrays.iter().map(|array| slab.add(array)).collect();
        }
        assert!(slab.bytes() < bytes + 3000 * 8, "{} after {bytes}", slab.bytes());
        slab.add(&[7; 100_000]);
    }
}
