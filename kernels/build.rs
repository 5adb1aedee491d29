//! Cargo's build script. It says which build this is, by `kernels/build/identity.rs`. With the feature `cuda` it compiles every `kernels/cuda/*.cu`
//! by NVIDIA's compiler into one fat binary each, for all architectures, and writes the table by which `src/backend/cuda/device/images.rs` holds them.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::sync::Mutex;
use std::thread;

#[path = "build/identity.rs"]
mod identity;

/// Machine code for these, and PTX of the first for all later ones.
const ARCHITECTURES: [&str; 6] = ["80", "86", "89", "90a", "100", "120"];

/// A file whose name ends so is for Hopper alone.
const HOPPER_ENDING: &str = "_sm90";

/// The oldest CUDA whose compiler knows all of them, as CUDA writes it in one number.
const OLDEST_CUDA: u32 = 12080;

const ADVICE: &str = "install the CUDA toolkit 12.8, 12.9 or 13 (https://developer.nvidia.com/cuda-toolkit-archive), \
    or name its folder by CUDA_HOME; without the feature `cuda` none is needed";

fn main() {
    println!("cargo::rerun-if-changed=kernels/build.rs");
    identity::tell();
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for variable in ["CUDA_HOME", "CUDA_PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let compiler = Compiler::find().unwrap_or_else(|problem| stop(&problem));
    println!("cargo::rustc-env=STIR_CUDA_VERSION={}", compiler.version);
    let sources = files(Path::new("kernels/cuda"), "cu");
    let images = compiler.compile_all(&sources).unwrap_or_else(|problem| stop(&problem));
    fs::write(out_folder().join("images.rs"), table(&images)).expect("Cargo's folder for output can be written");
}

/// A compiled source.
struct Image {
    name: String,
    kernels: Vec<String>,
    binary: PathBuf,
}

/// NVIDIA's compiler.
struct Compiler {
    program: PathBuf,
    /// Such as 12080.
    version: u32,
}

impl Compiler {
    fn find() -> Result<Self, String> {
        let mut tried = Vec::new();
        for program in candidates() {
            let Ok(output) = Command::new(&program).arg("--version").output() else {
                tried.push(program.display().to_string());
                continue;
            };
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let version = version(&text).ok_or_else(|| format!("{} --version says:\n{text}", program.display()))?;
            if version < OLDEST_CUDA {
                let (major, minor) = (version / 1000, version % 1000 / 10);
                return Err(format!("{} is of CUDA {major}.{minor}, which is too old: {ADVICE}", program.display()));
            }
            return Ok(Self { program, version });
        }
        Err(format!("there is no nvcc, NVIDIA's compiler: {ADVICE}. Looked for {}", tried.join(", ")))
    }

    /// As many at a time as Cargo may run jobs.
    fn compile_all(&self, sources: &[PathBuf]) -> Result<Vec<Image>, String> {
        let headers: Vec<Vec<u8>> =
            files(Path::new("kernels/cuda/common"), "cuh").iter().map(|path| read(path)).collect();
        let jobs: usize = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1);
        let threads = (jobs / sources.len().max(1)).clamp(1, ARCHITECTURES.len());
        let queue = Mutex::new(sources.iter());
        let images = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..jobs.min(sources.len()) {
                scope.spawn(|| {
                    loop {
                        let Some(source) = queue.lock().expect("no thread panics").next() else { return };
                        let image = self.compile(source, &headers, threads);
                        images.lock().expect("no thread panics").push(image);
                    }
                });
            }
        });
        let mut images = images.into_inner().expect("no thread panics").into_iter().collect::<Result<Vec<_>, _>>()?;
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// Compiles a source, unless it has been, with the same headers, by the same compiler.
    fn compile(&self, source: &Path, headers: &[Vec<u8>], threads: usize) -> Result<Image, String> {
        let name = source.file_stem().expect("a source has a name").to_string_lossy().into_owned();
        let binary = out_folder().join(format!("{name}.fatbin"));
        let report = out_folder().join(format!("{name}.report"));
        let mut command = Command::new(&self.program);
        command.args(["-std=c++17", "-O3", "-I", "kernels/cuda", "-fatbin", "--compress-mode=size", "-Xptxas=-v"]);
        command.args(code(&name)).arg("-o").arg(&binary).arg(source);

        let mut hasher = DefaultHasher::new();
        (self.version, format!("{command:?}"), read(source), headers).hash(&mut hasher);
        let key = format!("{:016x}", hasher.finish());
        let known = fs::read_to_string(&report).ok();
        let lines = match known.as_deref().and_then(|known| known.split_once('\n')) {
            Some((known, lines)) if known == key && binary.exists() => lines.to_owned(),
            _ => {
                let output = command.arg(format!("--threads={threads}")).output().map_err(|error| error.to_string())?;
                let lines = String::from_utf8_lossy(&output.stderr).into_owned();
                if !output.status.success() {
                    return Err(format!("{} does not compile:\n{lines}", source.display()));
                }
                fs::write(&report, format!("{key}\n{lines}")).map_err(|error| error.to_string())?;
                lines
            }
        };
        let kernels = kernels(&lines);
        if kernels.is_empty() {
            return Err(format!("{} holds no kernel", source.display()));
        }
        Ok(Image { name, kernels, binary })
    }
}

/// Where the compiler may be.
fn candidates() -> Vec<PathBuf> {
    let named = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(PathBuf::from);
    let usual = [PathBuf::from("/usr/local/cuda"), PathBuf::from("/opt/cuda")];
    let mut programs: Vec<PathBuf> = named.chain(usual).map(|folder| folder.join("bin/nvcc")).collect();
    programs.push(PathBuf::from("nvcc"));
    programs
}

/// The version in what `nvcc --version` prints: `Cuda compilation tools, release 12.8, V12.8.61`.
fn version(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("release ")?;
    let (major, minor) = rest.split(',').next()?.split_once('.')?;
    Some(major.parse::<u32>().ok()? * 1000 + minor.trim().parse::<u32>().ok()? * 10)
}

/// What the compiler is told to write for a source.
fn code(name: &str) -> Vec<String> {
    let machine = |architecture: &str| format!("-gencode=arch=compute_{architecture},code=sm_{architecture}");
    if name.ends_with(HOPPER_ENDING) {
        return vec![machine("90a")];
    }
    let oldest = ARCHITECTURES[0];
    let ptx = format!("-gencode=arch=compute_{oldest},code=compute_{oldest}");
    ARCHITECTURES.into_iter().map(machine).chain([ptx]).collect()
}

/// The kernels that the assembler reports, by name.
fn kernels(report: &str) -> Vec<String> {
    let named = report.lines().filter_map(|line| line.split_once("Compiling entry function '")?.1.split_once('\''));
    let mut kernels: Vec<String> = named.map(|(kernel, _)| kernel.to_owned()).collect();
    kernels.sort();
    kernels.dedup();
    kernels
}

fn table(images: &[Image]) -> String {
    let mut text = "/// All of them, by name.\npub(super) static IMAGES: &[Image] = &[\n".to_owned();
    for Image { name, kernels, binary } in images {
        let binary = format!("include_bytes!({binary:?})");
        text += &format!("    Image {{ name: {name:?}, kernels: &{kernels:?}, binary: {binary} }},\n");
    }
    text + "];\n"
}

/// The files of a folder with this ending, sorted; none where there is no such folder.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| stop(&format!("{}: {error}", path.display())))
}

fn out_folder() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it"))
}

fn stop(problem: &str) -> ! {
    for line in problem.lines() {
        println!("cargo::error={line}");
    }
    exit(1)
}
