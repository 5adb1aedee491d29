//! Decodes that do not fit into memory at first.

use super::*;

/// A run of ten frames of 96x64, of which pieces larger than `largest` do not fit.
struct Tight {
    folder: Folder,
    memory: Rc<Shortage>,
    heard: Heard,
}

impl Tight {
    fn new(name: &str, largest_piece: usize, denoiser_is_in_the_way: bool) -> Self {
        let memory = Shortage { largest_piece, denoiser_is_in_the_way, ..Shortage::default() };
        Self { folder: Folder::new(name), memory: Rc::new(memory), heard: Heard::default() }
    }

    fn run(&mut self, count: usize) -> Result<()> {
        let request = Request { count, ..request(self.folder.0.join("clip.y4m")) };
        let family = Coarse { memory: Some(self.memory.clone()), ..Coarse::default() };
        super::super::run(&request, opened(), (Box::new(family), Saver::default()), &mut self.heard)
    }

    fn decodes(&self) -> Vec<usize> {
        self.memory.decodes.borrow().clone()
    }

    fn warnings(&self) -> Vec<&str> {
        let warnings = self.heard.lines.iter().filter(|(level, _)| *level == Level::Warning);
        warnings.map(|(_, line)| line.as_str()).collect()
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.folder.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_decode_that_does_not_fit_begins_again_with_half() {
    let mut plenty = Tight::new("plenty", usize::MAX, false);
    plenty.run(1).unwrap();
    assert_eq!((plenty.decodes(), plenty.warnings()), (vec![96], vec![]));
    let mut tight = Tight::new("tight", 24, false);
    tight.run(1).unwrap();
    assert_eq!(tight.decodes(), [96, 48, 24]);
    let line = |failed, smaller| {
        format!(
            "decoding pieces of up to {failed} pixels a side did not fit into memory: it begins again with {smaller}"
        )
    };
    assert_eq!(tight.warnings(), [line(96, 48), line(48, 24)]);
    // Frames that a failed decode gave are in no file, and nothing else is left.
    assert_eq!(tight.files(), ["clip.y4m"]);
    let clip = |tight: &Tight| std::fs::read(tight.folder.0.join("clip.y4m")).unwrap();
    assert!(clip(&tight) == clip(&plenty));
}

#[test]
fn a_decode_that_never_fits_leaves_the_latents() {
    let mut tight = Tight::new("never", 0, false);
    let error = tight.run(1).unwrap_err();
    assert_eq!(tight.decodes(), [96, 48, 24]);
    assert_eq!(tight.files(), ["clip.latents.safetensors"]);
    let message = error.to_string();
    assert!(matches!(error, Error::Run(_)) && error.exit_code() == 1);
    assert!(
        message.starts_with("the decode, in pieces of up to 24 pixels a side: wanted enough free memory"),
        "{message}"
    );
    assert!(message.contains("CUDA_ERROR_OUT_OF_MEMORY"), "{message}");
    assert!(error.hint().contains("--vae-tiling auto") && error.hint().contains("stir decode "), "{}", error.hint());
}

/// Of three clips the denoiser is needed for each, so it stays, unless a decode needs its memory more.
#[test]
fn the_denoiser_goes_before_pieces_are_halved_and_comes_back() {
    let mut beside = Tight::new("beside", usize::MAX, true);
    beside.run(3).unwrap();
    // The last clip is decoded when it has gone anyway.
    assert_eq!(beside.decodes(), [96; 5]);
    assert_eq!(beside.warnings().len(), 2);
    assert!(beside.warnings()[0].contains("beside the denoiser"), "{:?}", beside.warnings());
    assert_eq!(beside.files(), ["clip-7.y4m", "clip-8.y4m", "clip-9.y4m"]);
    assert_eq!(beside.memory.denoisers.get(), 0);
}

#[test]
fn the_denoiser_goes_where_the_decoder_has_no_room_beside_it() {
    let memory = Rc::new(Shortage { has_room_for_both: false, ..Shortage::default() });
    let mut cramped = Tight { memory, ..Tight::new("cramped", usize::MAX, false) };
    cramped.run(2).unwrap();
    assert_eq!(cramped.decodes(), [96; 2]);
    assert_eq!(cramped.warnings(), ["the decoder did not fit into memory beside the denoiser, which has gone"]);
    assert_eq!(cramped.files(), ["clip-7.y4m", "clip-8.y4m"]);
}

#[test]
fn other_failures_are_not_tried_again() {
    let folder = Folder::new("other");
    let mut request = request(folder.0.join("clip.y4m"));
    // The file is not there any more when it is to be completed.
    request.save_frames = Some(folder.0.join("clip.y4m/frames"));
    let memory = Rc::new(Shortage::default());
    let family = Coarse { memory: Some(memory.clone()), ..Coarse::default() };
    super::super::run(&request, opened(), (Box::new(family), Saver::default()), &mut Heard::default()).unwrap_err();
    assert_eq!(*memory.decodes.borrow(), [96]);
}
