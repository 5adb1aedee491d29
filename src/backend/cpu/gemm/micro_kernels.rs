//! What every instruction set compiles for itself.

/// The micro-kernels that all have, over `$vectors` and with the instructions that the attribute enables. The constants `ROWS`, `VECTORS`,
/// `GATHERED_ROWS` and `GATHERED_VECTORS` are the tiles' sizes.
macro_rules! micro_kernels {
    ($(#[$enable:meta])? $vectors:ty) => {
        // SAFETY, of all that follow: the instruction set is enabled here, the pointers are the caller's.

        $(#[$enable])?
        unsafe fn float32(pointers: TilePointers) {
            unsafe { tile::<$vectors, Float32, ROWS, VECTORS>(pointers) }
        }

        $(#[$enable])?
        unsafe fn widened_bfloat16(pointers: TilePointers) {
            unsafe { tile::<$vectors, WidenedBfloat16, ROWS, VECTORS>(pointers) }
        }

        $(#[$enable])?
        unsafe fn peak_float32(steps: usize) -> f64 {
            unsafe { peak::<$vectors, Float32, ROWS, VECTORS>(steps) }
        }

        $(#[$enable])?
        unsafe fn finish_row(row: FinishRow<'_>) {
            finish(row);
        }

        $(#[$enable])?
        unsafe fn softmax_block(block: ScoreBlock<'_>) {
            unsafe { softmax::<$vectors, VECTORS>(block) }
        }

        $(#[$enable])?
        unsafe fn gather_float32(pointers: GatherPointers) {
            unsafe { gather::<$vectors, Float32, GATHERED_ROWS, GATHERED_VECTORS>(pointers) }
        }

        $(#[$enable])?
        unsafe fn gather_widened_bfloat16(pointers: GatherPointers) {
            unsafe { gather::<$vectors, WidenedBfloat16, GATHERED_ROWS, GATHERED_VECTORS>(pointers) }
        }

        $(#[$enable])?
        pub(super) unsafe fn run<L: Loops>(loops: L) {
            loops.run();
        }
    };
}

pub(super) use micro_kernels;
