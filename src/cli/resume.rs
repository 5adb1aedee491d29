//! `stir resume`: a saved state back to its request, and from there to the clips.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use clap::{Arg, Args, Command, ValueHint};
use serde_json::{Map, Value};

use super::config::{Config, argument};
use super::options::Options;
use super::report::{Console, Report, stdout};
use super::shared_options::{DeviceOptions, TalkOptions};
use super::signals::while_heeding_signals;
use super::{configured_options, values};
use crate::error::{Error, Result};
use crate::media::image::ImageSource;
use crate::models::{SYNTHETIC, catalog};
use crate::pipeline;
use crate::pipeline::observer::Level;
use crate::pipeline::settings::Settings;
use crate::pipeline::state::{SavedRun, StateRecord};

/// Go on with a run that `--save-state FOLDER` saved and that ended early, whatever ended it
///
/// The clips are those of a run that never stopped, to the last byte; clips that were complete are not made again. The folder says what is made
/// and from what: names of files are those of the run, relative ones in the folder in which it was started. Picture, weights and other inputs have
/// to be the same as then, and so has the version of stir. When all clips are complete only a note of that stays in the folder, which a
/// new run may use again; until then `latents.safetensors` in it is what `stir decode` takes, while a clip is decoded. Like a script, the
/// state of somebody else names files that are read and written.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    override_usage = "stir resume FOLDER [OPTIONS]",
    after_help = "Example:\n  stir generate -i portrait.png -p \"hair gently flowing\" --save-state state\n  stir resume state"
)]
pub(super) struct ResumeOptions {
    /// Folder that --save-state named
    #[arg(value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    folder: OsString,

    /// Where the picture is now, if it has moved or was read from standard input
    #[arg(short, long, value_name = "IMAGE", value_hint = ValueHint::FilePath, help_heading = "Picture and clip")]
    image: Option<OsString>,
    /// Where the clip goes instead, as with `stir generate`
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::AnyPath, help_heading = "Picture and clip")]
    output: Option<OsString>,

    #[command(flatten)]
    device: DeviceOptions,
    #[command(flatten)]
    talk: TalkOptions,
}

impl ResumeOptions {
    /// The console that these options ask for.
    pub(super) fn console(&self) -> Console {
        self.talk.console()
    }

    /// Makes the clips that are not complete.
    ///
    /// # Errors
    /// Whatever stopped it.
    pub(super) fn run(&self, console: Arc<Console>) -> Result<()> {
        let hint = "unfinished files are removed, finished ones are kept; the same command goes on";
        while_heeding_signals(console.clone(), hint, || self.go_on(console))
    }

    fn go_on(&self, console: Arc<Console>) -> Result<()> {
        self.talk.check()?;
        values::text("FOLDER", &self.folder)?;
        let folder = values::path("FOLDER", &self.folder)?;
        let mut saved = SavedRun::open(&folder)?;
        saved.image = values::optional("--image", &self.image, values::path)?.map(ImageSource::named);
        if saved.record().is_finished() {
            let line = format!("{} is of {}: nothing is left to do", folder.display(), saved.record().describe());
            console.say(Level::Note, &line);
            return Ok(());
        }
        let config = Config::of_object(&self.settings(saved.record()), &format!("state {}", folder.display()))?;
        let typed = self.typed();
        let config = config.without(|option| typed.iter().any(|(typed, _)| *typed == option));
        let arguments = typed.iter().map(|(option, value)| argument(option, value));
        let options = configured_options(&config, arguments)?;
        self.make(&options, saved, console).map_err(|error| config.locate(error))
    }

    fn make(&self, options: &Options, saved: SavedRun, console: Arc<Console>) -> Result<()> {
        let request = options.request()?;
        if let (None, Some(path)) = (&saved.image, request.image.path())
            && !path.exists()
        {
            let (wanted, hint) = ("the picture that the run began with", "name it by -i where it has moved");
            return Err(Error::input(format!("image {}", path.display()), wanted, "no such file", hint));
        }
        self.device.use_threads()?;
        let settings = Settings::from(&request);
        let mut report = Report::new(console, &settings);
        report.start(&settings);
        pipeline::resume(&request, saved, &mut report)?;
        stdout::check()
    }

    /// Options that come before those of the run.
    fn typed(&self) -> Vec<(&'static str, OsString)> {
        let output = self.output.iter().map(|output| ("output", output.clone()));
        output.chain(self.device.given()).collect()
    }

    /// The run's settings as they read from the current folder.
    fn settings(&self, record: &StateRecord) -> Map<String, Value> {
        let mut settings = record.request.clone();
        let started = Path::new(&record.folder);
        let place = |path: &Path| path.canonicalize().ok();
        if place(started).is_none() || place(started) != place(Path::new(".")) {
            settings.iter_mut().for_each(|(option, value)| resolve(option, value, started));
        }
        // The folder itself may have moved.
        settings.insert("save_state".to_owned(), Value::String(self.folder.display().to_string()));
        settings
    }
}

/// Makes the name of a file one of a file in `folder`.
fn resolve(option: &str, value: &mut Value, folder: &Path) {
    let command = Options::augment_args(Command::new("generate"));
    let is_path = |arg: &Arg| {
        arg.get_long() == Some(option.replace('_', "-").as_str())
            && matches!(arg.get_value_hint(), ValueHint::FilePath | ValueHint::DirPath | ValueHint::AnyPath)
    };
    let Value::String(text) = value else { return };
    let is_name = match option {
        "image" => text == "-",
        "model" => text.starts_with(SYNTHETIC) || catalog::find(text).is_some(),
        "watermark" => !folder.join(&text).is_file(),
        _ => false,
    };
    if !is_name && command.get_arguments().any(is_path) {
        *text = folder.join(&text).display().to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::state::as_texts;

    /// Numbers that not every reader of JSON gives back to the last bit.
    #[test]
    fn a_state_keeps_every_setting_exactly() {
        let given = "-i a.png -p hair --camera pan_left --motion 0.30000000000000004 -W 64 -H 48 --fit contain --background #102030 \
                     --duration 0.7000000000000001 --fps 23.976023976023978 -s 18446744073709551615 --count 3 \
                     --guidance-scale 4.35 --guidance-rescale 0.1 --stg-scale 1.0000000000000002 --strength 0.7 \
                     --image-noise 1e-7 --sigmas 1,0.30000000000000004,0.1 --decode-timestep 0.05 --decode-noise 0.025 \
                     --degrade mild --two-pass --model ./model --vae v --text-encoder t --tokenizer k \
                     --latent-upsampler u --variant distilled --dtype bf16 --vae-tiling on --offload disk --device cpu \
                     --eyes 431.1,287.7,70.3,52 --eyes 1,2,3,4.000000000000001 --encoder x264 --quality 60 --no-clobber \
                     --watermark words --preview look.gif --save-frames f --save-latents l --strict --allow-any-image \
                     --save-state s --save-state-every 3 -o out.mov";
        let words = given.split(' ').filter(|word| !word.is_empty());
        let nothing = Config::of_object(&Map::new(), "nothing").unwrap();
        let typed = words.map(|word| OsString::from(word.replace("pan_left", "pan left")));
        let request = configured_options(&nothing, typed).unwrap().request().unwrap();
        let settings = as_texts(&Settings::from(&request));
        let config = Config::of_object(&settings, "state").unwrap();
        let again = configured_options(&config, std::iter::empty()).unwrap().request().unwrap();
        assert_eq!(format!("{again:?}"), format!("{request:?}"));
        assert!(settings.values().all(|value| !value.is_number()), "{settings:?}");
        let events: Value = serde_json::from_str(include_str!("report/events.schema.json")).unwrap();
        let described = events["$defs"]["request"]["properties"].as_object().unwrap();
        for option in settings.keys() {
            assert!(described.contains_key(option), "the schema of events does not describe {option}");
        }
    }

    #[test]
    fn names_of_files_are_those_in_the_folder_of_the_run() {
        let resolved = |option: &str, text: &str| {
            let mut value = Value::String(text.to_owned());
            resolve(option, &mut value, Path::new("/started"));
            value.as_str().unwrap().to_owned()
        };
        for option in ["image", "output", "vae", "text_encoder", "tokenizer", "latent_upsampler", "preview"] {
            assert_eq!(resolved(option, "some/file"), "/started/some/file", "{option}");
        }
        for option in ["save_frames", "save_latents", "noise", "model"] {
            assert_eq!(resolved(option, "some/file"), "/started/some/file", "{option}");
            assert_eq!(resolved(option, "/some/file"), "/some/file", "{option}");
        }
        for (option, text) in [
            ("image", "-"),
            ("model", "sway"),
            ("model", "synthetic:ltx-2b"),
            ("model", "ltx-2b-distilled"),
            ("watermark", "stir"),
            ("prompt", "some/file"),
            ("steps", "8"),
        ] {
            assert_eq!(resolved(option, text), text, "{option}");
        }
    }
}
