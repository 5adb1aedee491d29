//! What tells what a run reads from others, so that a run goes on only with the same.

use std::fs::File;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::media::watermark::Watermark;
use crate::models::Family;
use crate::picture::Picture;
use crate::pipeline::latent_record;
use crate::pipeline::prepare::Resolved;
use crate::pipeline::provenance::sums;
use crate::pipeline::request::Request;
use crate::weights::digest::{self, hexadecimal};

/// Hashes in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Of the picture's size and pixels.
    picture: String,
    /// Of the weights: see [`Family::fingerprint`].
    model: String,
    /// Of how clips are sampled and decoded.
    recipe: String,
    /// Of the initial noise, where it was read.
    noise: Option<String>,
    /// Of the watermark's file, where it is one.
    watermark: Option<String>,
}

impl Inputs {
    /// `picture`: as it was read.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub fn of(request: &Request, picture: &Picture, family: &dyn Family, resolved: &Resolved) -> Result<Self> {
        let mark = request.watermark.as_ref().and_then(Watermark::path);
        let watermark = mark.map(|path| {
            File::open(path)
                .and_then(|mut file| digest::sha256(&mut file, &mut |_| {}))
                .map_err(|error| Error::io("reading", path, error, "check the file of --watermark"))
        });
        Ok(Self {
            picture: latent_record::fingerprint(picture),
            model: family.fingerprint(&resolved.recipe)?,
            recipe: hexadecimal(&Sha256::digest(format!("{:?}", resolved.recipe))),
            noise: resolved.noise.as_ref().map(sums::of_latents).transpose()?,
            watermark: watermark.transpose()?,
        })
    }

    /// Checks that a run that began with `before` can go on with these.
    ///
    /// # Errors
    /// The first input that is another one.
    pub fn check(&self, before: &Self) -> Result<()> {
        let put_back = "put the files back that the run began with";
        let picture = "name the same file as before, by -i where it has moved";
        let inputs = [
            ("--image", ["the picture", "another one"], self.picture == before.picture, picture),
            ("--model", ["the weights", "other ones"], self.model == before.model, put_back),
            ("--model", ["the schedule and guidance", "others"], self.recipe == before.recipe, put_back),
            ("--noise", ["the noise", "another one"], self.noise == before.noise, put_back),
            ("--watermark", ["the picture", "another one"], self.watermark == before.watermark, put_back),
        ];
        for (option, [what, found], same, hint) in inputs {
            if !same {
                let wanted = format!("{what} that the run began with");
                return Err(Error::input(option, wanted, found, format!("{hint}, or begin the run anew")));
            }
        }
        Ok(())
    }
}
