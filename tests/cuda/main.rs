//! Operations and models on a GPU, which has to be there. The program that these tests are built into can be carried to the machine that has it, and
//! started in the repository's folder: `scripts/cuda-check --build`.

#[path = "../models/drawn_figure.rs"]
mod drawn_figure;
#[path = "../support/fixture.rs"]
mod fixture;
mod harness;
#[path = "../ops/samples.rs"]
mod samples;

mod attention;
mod canvas;
mod conv3d;
mod fold;
mod gate;
mod gelu;
mod gemm;
mod group_norm;
mod launching;
mod ltx;
mod norm;
mod residency;
