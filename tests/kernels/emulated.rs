//! Kernels compiled for the host's emulator.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use libloading::{Library, Symbol};
use stir::backend::cuda::launch::Launch;

/// What the emulator makes of a kernel: its parameters, its grid, the threads of a block, and the bytes of shared memory.
type Kernel = unsafe extern "C" fn(*const c_void, *const [u32; 3], u32, u32) -> c_int;

/// Files by their paths; one that is not there yet is being compiled.
type Loaded = HashMap<PathBuf, Arc<Mutex<Option<Emulated>>>>;

/// A file of kernels that runs on the host.
#[derive(Clone)]
pub struct Emulated {
    library: Arc<Library>,
}

impl Emulated {
    /// `kernels/cuda/<name>.cu`.
    pub fn kernel(name: &str) -> Self {
        Self::file(&root().join("kernels/cuda").join(format!("{name}.cu")))
    }

    /// Any file of kernels. It is compiled when first asked for, and again only when a source has changed since.
    pub fn file(source: &Path) -> Self {
        static LOADED: OnceLock<Mutex<Loaded>> = OnceLock::new();
        let loaded = LOADED.get_or_init(Mutex::default);
        // Held for this file only while it is compiled: tests of other kernels go on.
        let one = loaded.lock().unwrap().entry(source.to_owned()).or_default().clone();
        let mut one = one.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        one.get_or_insert_with(|| Self::compiled(source)).clone()
    }

    fn compiled(source: &Path) -> Self {
        let stem = source.file_stem().unwrap().to_str().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{stem}-{:016x}.so", fingerprint(source)));
        if !path.exists() {
            // Another run of the tests may be at it too: a library appears under its name when it is complete.
            let partial = folder.join(format!("{stem}-{}.partial", std::process::id()));
            let mut compiler = Command::new("c++");
            compiler.args(["-std=c++17", "-O2", "-fno-strict-aliasing", "-shared", "-fPIC", "-x", "c++", "-I"]);
            compiler.arg(root().join("kernels/cuda")).arg("-o").arg(&partial);
            compiler.arg(source).arg(root().join("kernels/emulator/emulator.cpp"));
            let output = compiler.output().expect("these tests need a C++ compiler, `c++`");
            assert!(output.status.success(), "{compiler:?}\n{}", String::from_utf8_lossy(&output.stderr));
            std::fs::rename(partial, &path).unwrap();
            remove_others(&path, stem);
        }
        // SAFETY: it was made above, of this repository's sources, and runs nothing when it is loaded.
        #[allow(unsafe_code)]
        let library = unsafe { Library::new(&path) }.unwrap();
        Self { library: Arc::new(library) }
    }

    /// Runs all blocks, or says why they did not end well.
    ///
    /// The parameters hold the addresses of memory that the kernel may touch, and are of the type that it takes.
    pub fn try_run<P: Copy>(&self, launch: &Launch<P>) -> Result<(), String> {
        // SAFETY: both have the types that `KERNEL` and `emulator.h` declare. What the kernel does with the addresses in its parameters is what is
        // under test.
        #[allow(unsafe_code)]
        unsafe {
            let bytes: Symbol<'_, unsafe extern "C" fn() -> u64> =
                self.library.get(format!("{}_parameter_bytes", launch.kernel)).expect("a kernel of this file");
            assert_eq!(size_of::<P>() as u64, bytes(), "bytes of the parameters of {}", launch.kernel);
            let kernel: Symbol<'_, Kernel> = self.library.get(launch.kernel).unwrap();
            if kernel((&raw const launch.parameters).cast(), &launch.grid, launch.block, launch.shared_bytes) == 0 {
                return Ok(());
            }
            let message: Symbol<'_, unsafe extern "C" fn() -> *const c_char> =
                self.library.get("emulator_message").unwrap();
            Err(CStr::from_ptr(message()).to_string_lossy().into_owned())
        }
    }

    /// Runs all blocks.
    ///
    /// # Panics
    /// If they do not end well.
    pub fn run<P: Copy>(&self, launch: &Launch<P>) {
        self.try_run(launch).unwrap_or_else(|message| panic!("{message}"));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Removes what was compiled of earlier versions of the source.
fn remove_others(path: &Path, stem: &str) {
    for other in std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = other.file_name().unwrap().to_str().unwrap();
        let is_older = name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".so"));
        if is_older && other != path {
            // Another run of the tests may have been first.
            let _ = std::fs::remove_file(other);
        }
    }
}

/// Of the file, and of all that a kernel may include.
fn fingerprint(source: &Path) -> u64 {
    let mut paths = vec![source.to_owned()];
    for folder in ["kernels/cuda/common", "kernels/emulator"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        paths.extend(entries.filter(|path| path.is_file()));
    }
    paths[1..].sort();
    let mut hasher = DefaultHasher::new();
    for path in paths {
        path.hash(&mut hasher);
        std::fs::read(&path).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}
