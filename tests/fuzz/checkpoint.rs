//! Everything that is done with a checkpoint before a network computes with it.

use std::path::Path;

use candle_core::{DType, Device};
use stir::models::inspect::inspect;
use stir::weights::files::WeightFiles;
use stir::weights::keymap::KeyMap;
use stir::weights::store::{Placement, Store};

/// Tensors with more values than this are not read: a file of a few bytes holds none.
const MOST_VALUES: usize = 1 << 16;

/// Looks at the checkpoint at `path` and reads its tensors.
pub fn read(path: &Path) {
    if let Ok(files) = WeightFiles::open(path) {
        let _ = files.metadata();
        let _ = files.count_types(|_| true);
        read_tensors(&files);
    }
    if let Ok(inspection) = inspect(path) {
        assert!(!inspection.family.is_empty());
    }
}

fn read_tensors(files: &WeightFiles) {
    let Ok(tensors) = files.tensors() else { return };
    let placement = Placement { dtype: DType::F32, device: Device::Cpu };
    let store = Store::open(files, KeyMap::IDENTITY, &placement).expect("its tensors were listed");
    for (name, stored) in &tensors {
        let shape = stored.shape();
        if shape.iter().try_fold(1usize, |count, length| count.checked_mul(*length)).expect("checked") > MOST_VALUES {
            continue;
        }
        if let Ok(tensor) = store.take(name, shape) {
            assert_eq!(tensor.dims(), shape);
        }
        let _ = store.take_weight(name, shape);
        if let [rows, columns] = *shape
            && rows > 0
            && let Ok(row) = store.take_rows(name, [rows, columns], &[rows as u32 - 1])
        {
            assert_eq!(row.dims(), [1, columns]);
        }
    }
    let _ = store.finish();
}
