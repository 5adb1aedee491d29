//! What of a run is in memory when.
//!
//! Networks are built, used and freed in this order: the text encoder, layer by layer; the encoder of pictures; the denoiser, until the last clip has
//! its latents; the decoder, which stays. What is too large for what is free when its turn comes is had in parts: the denoiser block by block, and
//! frames in pieces.

use candle_core::Device;

use super::decode::ClipDecode;
use super::observer::{Level, Observer};
use super::run::Run;
use crate::backend::cpu::memory;
use crate::device::available_memory;
use crate::error::{Error, Result};
use crate::media::WrittenClip;
use crate::models::{Decoder, Denoiser, Family, Memory, Offload, OffloadedWeights};

/// Memory that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes on the device; `None` where it does not tell.
    pub device: Option<u64>,
    /// Bytes of the CPU's memory; `None` where the system does not tell.
    pub host: Option<u64>,
    /// Whether both are the same.
    pub on_cpu: bool,
}

impl Budget {
    /// As it is now.
    pub fn of(device: &Device) -> Self {
        let [device_bytes, host] = [device, &Device::Cpu].map(available_memory);
        Self { device: device_bytes, host, on_cpu: device.is_cpu() }
    }
}

/// Where the denoiser's blocks wait, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offloading {
    /// Where.
    pub offload: Offload,
    /// Why; `None` where there is nothing to say.
    pub reason: Option<&'static str>,
}

impl Offloading {
    /// As `asked`; or, where nothing is, as near to the device as `memory` fits into the budget. `memory` is of a run whose blocks are all there.
    pub fn of(asked: Option<Offload>, memory: &Memory, budget: &Budget) -> Self {
        match asked {
            Some(Offload::Cpu) if budget.on_cpu => {
                let reason = "--offload cpu changes nothing on the CPU, whose memory holds them anyway";
                Self { offload: Offload::None, reason: Some(reason) }
            }
            Some(Offload::Cpu) => Self { offload: Offload::Cpu, reason: Some("--offload is cpu") },
            Some(Offload::Disk) => Self { offload: Offload::Disk, reason: Some("--offload is disk") },
            Some(Offload::None) => Self { offload: Offload::None, reason: None },
            None => Self::fitting(memory, budget),
        }
    }

    fn fitting(memory: &Memory, budget: &Budget) -> Self {
        let fits = budget.device.is_none_or(|free| memory.largest_pass() <= free);
        let Some(OffloadedWeights { waiting, .. }) = memory.offloaded.filter(|_| !fits) else {
            return Self { offload: Offload::None, reason: None };
        };
        let host_holds = budget.host.is_none_or(|free| waiting <= free);
        let offload = if host_holds && !budget.on_cpu { Offload::Cpu } else { Offload::Disk };
        Self { offload, reason: Some("all of them would not fit into memory") }
    }

    /// A line for the user; `None` where all is as usual.
    pub fn line(&self) -> Option<String> {
        let reason = self.reason?;
        Some(match self.offload {
            Offload::None => reason.to_owned(),
            Offload::Cpu => format!("the denoiser's blocks wait in the CPU's memory: {reason}"),
            Offload::Disk => format!("the denoiser's blocks are read from disk at every step: {reason}"),
        })
    }
}

/// The networks that are used for every clip of runs of one model, while they are there.
pub(super) struct Networks<'a> {
    runs: &'a [Run<'a>],
    denoiser: Option<Box<dyn Denoiser + 'a>>,
    decoder: Option<Box<dyn Decoder>>,
}

impl<'a> Networks<'a> {
    /// `runs`: of one model, one at least.
    pub fn of(runs: &'a [Run<'a>]) -> Self {
        Self { runs, denoiser: None, decoder: None }
    }

    fn family(&self) -> &'a dyn Family {
        self.runs[0].family
    }

    /// Builds what denoising takes, where it is not there: the denoiser, and the decoder if there are `previews`.
    pub fn for_denoising(
        &mut self,
        previews: bool,
        observer: &mut dyn Observer,
    ) -> Result<(&dyn Denoiser, Option<&dyn Decoder>)> {
        if self.denoiser.is_none() {
            let offloading = self.offloading()?;
            offloading.line().iter().for_each(|line| observer.say(Level::Note, line));
            self.denoiser = Some(self.family().denoiser(offloading.offload)?);
        }
        if previews && self.decoder.is_none() {
            self.decoder = Some(self.family().decoder()?);
        }
        Ok((self.denoiser.as_deref().expect("it has just been built"), self.decoder.as_deref()))
    }

    /// Builds the decoder, where it is not there; without the denoiser, where both do not fit into memory.
    pub fn decoder(&mut self, observer: &mut dyn Observer) -> Result<&dyn Decoder> {
        if self.decoder.is_none() {
            let built = match self.family().decoder() {
                Err(error) if error.is_out_of_memory() && self.free_denoiser() => {
                    observer
                        .say(Level::Warning, "the decoder did not fit into memory beside the denoiser, which has gone");
                    self.family().decoder()
                }
                other => other,
            };
            self.decoder = Some(built?);
        }
        Ok(self.decoder.as_deref().expect("it has just been built"))
    }

    /// Where the denoiser's blocks wait, as memory is now, in the run that takes most.
    fn offloading(&self) -> Result<Offloading> {
        let family = self.family();
        let memories = self.runs.iter().map(|run| family.memory(run.text, &run.recipe)).collect::<Result<Vec<_>>>()?;
        let memory = memories.iter().max_by_key(|memory| memory.largest_pass()).expect("there is a run");
        Ok(Offloading::of(self.runs[0].request.model.offload, memory, &Budget::of(family.device())))
    }

    /// Frees the denoiser; whether there was one.
    pub fn free_denoiser(&mut self) -> bool {
        free(&mut self.denoiser)
    }

    /// Decodes a clip; where that does not fit into memory, without the denoiser, and then in ever smaller pieces.
    pub fn decode(&mut self, decode: &ClipDecode, observer: &mut dyn Observer) -> Result<WrittenClip> {
        self.decoder(observer)?;
        let Self { denoiser, decoder, .. } = self;
        let decoder = decoder.as_deref().expect("it has just been built");
        decode_what_fits(decode, decoder, &mut || free(denoiser), observer)
    }
}

/// Frees the denoiser and what its results left behind; whether there was one.
fn free(denoiser: &mut Option<Box<dyn Denoiser + '_>>) -> bool {
    let freed = denoiser.take().is_some();
    memory::trim();
    freed
}

/// Decodes a clip in the largest pieces that fit. One that fails for lack of memory has freed what it took, and begins anew: a clip is of one kind of
/// piece. `free` gives back what else is held, and says whether there was something.
pub(super) fn decode_what_fits(
    decode: &ClipDecode,
    decoder: &dyn Decoder,
    free: &mut dyn FnMut() -> bool,
    observer: &mut dyn Observer,
) -> Result<WrittenClip> {
    let mut piece = decoder.largest_piece(&decode.inputs, None);
    let whole = decode.inputs.clip.width.max(decode.inputs.clip.height);
    // Pieces are not exact: a clip is not to depend on whether another one comes after it.
    if piece.is_some_and(|side| side < whole) && free() {
        piece = decoder.largest_piece(&decode.inputs, None);
    }
    loop {
        let error = match decode.write(decoder, piece, observer) {
            Err(error) if error.is_out_of_memory() => error,
            other => return other,
        };
        if free() {
            observer
                .say(Level::Warning, "the decode did not fit into memory beside the denoiser: it begins again without");
            continue;
        }
        let Some((failed, smaller)) = piece.zip(decoder.largest_piece(&decode.inputs, piece)) else {
            return Err(too_large(&error, piece));
        };
        let line = format!(
            "decoding pieces of up to {failed} pixels a side did not fit into memory: it begins again with {smaller}"
        );
        observer.say(Level::Warning, &line);
        piece = Some(smaller);
    }
}

fn too_large(error: &Error, piece: Option<usize>) -> Error {
    let pieces = piece.map(|side| format!(", in pieces of up to {side} pixels a side")).unwrap_or_default();
    let hint = "end other programs, lift the limit on memory if there is one (ulimit -v), or decode with --vae-tiling auto or on --device cpu";
    Error::run(format!("the decode{pieces}"), "enough free memory", format!("too little ({error})"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::StageMemory;

    const MEMORY: u64 = 100;

    fn chosen(asked: Option<Offload>, budget: Budget) -> Offload {
        let stage = StageMemory { weights: 60, activations: 40 };
        let offloaded = Some(OffloadedWeights { held: 5, waiting: 55 });
        let memory = Memory { denoise: vec![stage], offloaded, ..Memory::default() };
        Offloading::of(asked, &memory, &budget).offload
    }

    fn gpu(device: Option<u64>, host: Option<u64>) -> Budget {
        Budget { device, host, on_cpu: false }
    }

    fn cpu(free: Option<u64>) -> Budget {
        Budget { device: free, host: free, on_cpu: true }
    }

    #[test]
    fn blocks_are_as_near_as_they_fit() {
        for (budget, expected) in [
            (gpu(Some(MEMORY), Some(0)), Offload::None),
            (gpu(Some(MEMORY - 1), Some(55)), Offload::Cpu),
            (gpu(Some(MEMORY - 1), Some(54)), Offload::Disk),
            (gpu(Some(0), None), Offload::Cpu),
            (gpu(None, Some(0)), Offload::None),
            (cpu(Some(MEMORY)), Offload::None),
            (cpu(Some(MEMORY - 1)), Offload::Disk),
            (cpu(None), Offload::None),
        ] {
            assert_eq!(chosen(None, budget), expected, "{budget:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_done() {
        for offload in [Offload::None, Offload::Cpu, Offload::Disk] {
            assert_eq!(chosen(Some(offload), gpu(Some(0), Some(0))), offload);
            assert_eq!(Offload::named(offload.name()), Some(offload));
        }
        assert_eq!(chosen(Some(Offload::Cpu), cpu(Some(0))), Offload::None);
        assert_eq!(chosen(Some(Offload::Disk), cpu(None)), Offload::Disk);
    }

    #[test]
    fn a_network_of_one_piece_stays_where_it_is() {
        let memory = Memory { denoise: vec![StageMemory { weights: 60, activations: 40 }], ..Memory::default() };
        let nothing = Offloading { offload: Offload::None, reason: None };
        assert_eq!(Offloading::of(None, &memory, &gpu(Some(0), Some(0))), nothing);
        assert_eq!(nothing.line(), None);
    }
}
