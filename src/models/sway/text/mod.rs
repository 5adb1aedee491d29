//! Words to a motion plan: the lexicon, its grammar and the plan that conditions the denoiser.
