//! How strips of rows and panels of columns are divided among threads. No result depends on it.

use std::ops::Range;

use rayon::prelude::*;

/// The division of some strips and panels.
#[derive(Debug)]
pub struct Tasks {
    strips: usize,
    panels: usize,
    pub(super) strips_each: usize,
    pub(super) panels_each: usize,
}

/// A task's part.
#[derive(Debug, PartialEq, Eq)]
pub struct Task {
    /// Its strips.
    pub strips: Range<usize>,
    /// Its panels.
    pub panels: Range<usize>,
}

/// How large tasks are.
#[derive(Debug, Clone, Copy)]
pub struct Grain {
    /// Strips of a task: as many rows as use a panel often while they are in the second cache.
    pub strips_each: usize,
    /// Panels of a task at most: as many as use its rows often while they are in the second cache.
    pub most_panels: usize,
    /// Tasks that there should be, so that many threads end at about the same time.
    pub enough: usize,
}

impl Tasks {
    /// As the grain says: fewer panels a task where there would not be enough tasks.
    pub fn new(strips: usize, panels: usize, grain: Grain) -> Self {
        let Grain { strips_each, most_panels, enough } = grain;
        // A few more share a panel rather than have it read twice from memory.
        let strips_each = if strips <= 2 * strips_each { strips.max(1) } else { strips_each };
        let groups = enough.div_ceil(strips.div_ceil(strips_each));
        Self { strips, panels, strips_each, panels_each: (panels / groups).clamp(1, most_panels) }
    }

    /// Each panel belongs to one task alone, which packs it.
    pub(super) fn by_panel(strips: usize, panels: usize) -> Self {
        Self { strips, panels, strips_each: strips, panels_each: 1 }
    }

    /// Hands each task to a thread.
    pub fn run(&self, run: impl Fn(&Task) + Sync) {
        (0..self.count()).into_par_iter().with_max_len(1).for_each(|index| run(&self.get(index)));
    }

    fn count(&self) -> usize {
        self.strips.div_ceil(self.strips_each) * self.panels.div_ceil(self.panels_each)
    }

    /// Tasks that share panels follow each other.
    fn get(&self, index: usize) -> Task {
        let part = |index: usize, size: usize, end: usize| index * size..((index + 1) * size).min(end);
        let blocks = self.strips.div_ceil(self.strips_each);
        Task {
            strips: part(index % blocks, self.strips_each, self.strips),
            panels: part(index / blocks, self.panels_each, self.panels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_cover_each_tile_once() {
        let product = Grain { strips_each: 8, most_panels: 16, enough: 128 };
        let convolution = Grain { strips_each: 22, most_panels: 8, enough: 64 };
        for grain in [product, convolution] {
            for (strips, panels) in [(1, 1), (1, 43), (17, 3), (55, 16), (256, 43), (3520, 2), (40, 171)] {
                let tasks = Tasks::new(strips, panels, grain);
                let mut seen = vec![0; strips * panels];
                for index in 0..tasks.count() {
                    let task = tasks.get(index);
                    for strip in task.strips {
                        for panel in task.panels.clone() {
                            seen[strip * panels + panel] += 1;
                        }
                    }
                }
                assert!(seen.iter().all(|&count| count == 1), "{strips} strips, {panels} panels, {grain:?}");
            }
        }
    }
}
