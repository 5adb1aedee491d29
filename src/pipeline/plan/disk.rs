//! What a run writes to disk, and whether that fits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::Result;
use crate::media::{self, Disk};
use crate::models::{Family, Pass};
use crate::pipeline::request::Request;
use crate::units::{Bytes, Clip};

/// Bytes that latents take in their file besides their values: names, shapes and the run's record.
const LATENT_RECORD: u64 = 4096;

/// Something that is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiskUse {
    /// `clip`, `frames`, `latents` or `state`.
    pub what: &'static str,
    /// The first of its files.
    pub path: PathBuf,
    /// Bytes of all clips together, as far as they are there at the same time.
    pub bytes: u64,
    /// Whether that is known, rather than usual for pictures of this size.
    pub exact: bool,
    /// Bytes that are free there; `None` where the system does not tell.
    pub free_bytes: Option<u64>,
    /// Which disk it is.
    #[serde(skip)]
    disk: Option<u64>,
}

/// All that a run writes for more than a moment. `(clip, passes)`: what is written, and how it is made.
pub(super) fn uses(request: &Request, family: &dyn Family, (clip, passes): (&Clip, &[Pass])) -> Result<Vec<DiskUse>> {
    let count = request.count as u64;
    let mut uses = Vec::new();
    let mut add = |what: &'static str, path: PathBuf, (bytes, exact): (u64, bool)| {
        let disk = Disk::of(&path);
        let (free_bytes, disk) = (disk.map(|disk| disk.free), disk.map(|disk| disk.number));
        uses.push(DiskUse { what, path, bytes, exact, free_bytes, disk });
    };
    for (what, target) in [("clip", Some(request.target(0))), ("frames", request.frames_target(0))] {
        if let Some(target) = target {
            let size = media::expected_size(&target, clip)?;
            add(what, target.path, (count * size.bytes, size.exact));
        }
    }
    let latents = passes.last().map_or(0, |pass| {
        let values = |shape: &Vec<usize>| shape.iter().product::<usize>() as u64;
        4 * family.latent_shapes(&pass.clip).values().map(values).sum::<u64>() + LATENT_RECORD
    });
    if let Some(state) = &request.save_state {
        // The state before stays until the next one is complete; and in a second pass, held weakly, both have its beginning.
        add("state", state.folder.clone(), (4 * latents, false));
    }
    match &request.save_latents {
        Some(path) => add("latents", request.path(path, 0), (count * latents, true)),
        // Beside the clip until it is complete.
        None if !family.decodes_onto_picture() && request.save_state.is_none() => {
            add("latents", request.target(0).path.with_extension("latents.safetensors"), (latents, true));
        }
        None => {}
    }
    Ok(uses)
}

/// A line for each disk that cannot hold what goes there.
pub(super) fn too_full(uses: &[DiskUse]) -> Vec<String> {
    let mut disks: BTreeMap<u64, (u64, u64, &DiskUse)> = BTreeMap::new();
    for part in uses {
        if let (Some(disk), Some(free)) = (part.disk, part.free_bytes) {
            disks.entry(disk).or_insert((0, free, part)).0 += part.bytes;
        }
    }
    let full = disks.into_values().filter(|(needed, free, _)| needed > free);
    full.map(|(needed, free, part)| {
        let (needed, free, path) = (Bytes(needed), Bytes(free), part.path.display());
        format!("about {needed} of disk space are needed and {free} are free where {path} goes: free some, or choose another disk")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_one_disk_is_added_up() {
        let part = |bytes, disk| DiskUse {
            what: "clip",
            path: "clip.mp4".into(),
            bytes,
            exact: false,
            free_bytes: Some(10_000_000),
            disk: Some(disk),
        };
        let (large, small) = (part(7_000_000, 1), part(6_000_000, 2));
        assert_eq!(too_full(&[large.clone(), small.clone()]), Vec::<String>::new());
        let full = too_full(&[large.clone(), DiskUse { disk: Some(1), ..small }]);
        assert!(full.len() == 1 && full[0].contains("13 MB") && full[0].contains("10 MB"), "{full:?}");
        assert_eq!(too_full(&[DiskUse { disk: None, free_bytes: None, ..large }]), Vec::<String>::new());
    }
}
