//! Ranges of memory whose pages may turn out to be unreadable, and a handler of SIGBUS that knows them.
//!
//! A signal handler may do next to nothing. This one finds the range that the address lies in, says so through a pipe, and waits: the thread cannot go on,
//! and another one, at the other end of the pipe, ends the program in an orderly way. Any other SIGBUS is left to whoever handled it before.
#![allow(unsafe_code)]

/// A guarded range, by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guarded(Option<usize>);

#[cfg(unix)]
pub(super) use unix::{guard, wait};

#[cfg(not(unix))]
mod elsewhere {
    use super::Guarded;

    impl Guarded {
        pub fn release(&self) {}
    }

    /// Other systems tell in other ways: nothing is guarded.
    pub(in super::super) fn guard(_start: usize, _length: usize) -> Guarded {
        Guarded(None)
    }

    pub(in super::super) fn wait() -> Guarded {
        loop {
            std::thread::park();
        }
    }
}
#[cfg(not(unix))]
pub(super) use elsewhere::{guard, wait};

#[cfg(unix)]
mod unix {
    use std::io::Read;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::ptr::null_mut;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use libc::{c_int, c_void, sigaction, siginfo_t};

    use super::Guarded;

    /// Ranges at a time; more are not guarded. The largest checkpoints have some tens of files.
    const MOST: usize = 1024;

    /// A range of addresses; empty where there is none.
    struct Range {
        start: AtomicUsize,
        end: AtomicUsize,
    }

    static RANGES: [Range; MOST] = [const { Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; MOST];

    /// What the handler needs, all of it there before the handler is.
    struct Watch {
        /// Where it writes to.
        said: OwnedFd,
        /// Who handled the signal before.
        before: sigaction,
    }

    static WATCH: OnceLock<Watch> = OnceLock::new();

    /// Guards the range until it is released.
    pub(in super::super) fn guard(start: usize, length: usize) -> Guarded {
        if length == 0 {
            return Guarded(None);
        }
        let claim = |range: &Range| range.end.compare_exchange(0, start + length, SeqCst, SeqCst).is_ok();
        let number = RANGES.iter().position(claim);
        if let Some(number) = number {
            RANGES[number].start.store(start, SeqCst);
        }
        Guarded(number)
    }

    impl Guarded {
        /// Guards it no more.
        pub fn release(&self) {
            if let Some(number) = self.0 {
                RANGES[number].start.store(0, SeqCst);
                RANGES[number].end.store(0, SeqCst);
            }
        }
    }

    /// The range that an address lies in.
    fn range_of(address: usize) -> Option<usize> {
        let holds = |range: &Range| {
            let start = range.start.load(SeqCst);
            start != 0 && (start..range.end.load(SeqCst)).contains(&address)
        };
        RANGES.iter().position(holds)
    }

    /// Handles SIGBUS from now on, and waits for the first that lies in a guarded range; for ever, where the system does not let it be handled.
    pub(in super::super) fn wait() -> Guarded {
        first_unreadable().unwrap_or_else(|| {
            loop {
                std::thread::park();
            }
        })
    }

    fn first_unreadable() -> Option<Guarded> {
        let (mut heard, said) = std::io::pipe().ok()?;
        install(said.into()).then_some(())?;
        let mut number = [0; size_of::<usize>()];
        heard.read_exact(&mut number).ok()?;
        Some(Guarded(Some(usize::from_ne_bytes(number))))
    }

    fn install(said: OwnedFd) -> bool {
        let mut before = MaybeUninit::<sigaction>::uninit();
        // SAFETY: it asks who handles the signal, and writes only where it is told to.
        if unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), before.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: the call has filled it.
        let before = unsafe { before.assume_init() };
        if WATCH.set(Watch { said, before }).is_err() {
            return false;
        }
        // SAFETY: all fields of the structure may be zero.
        let mut action: sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = handle;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler does only what handlers may, and is there as long as the program.
        unsafe { libc::sigaction(libc::SIGBUS, &raw const action, null_mut()) == 0 }
    }

    extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        let Some(watch) = WATCH.get() else { return };
        // SAFETY: the system hands over what it says it does.
        let address = unsafe { (*info).si_addr() } as usize;
        if let Some(number) = range_of(address) {
            let bytes = number.to_ne_bytes();
            // SAFETY: both calls are among those that handlers may make. A pipe takes so few bytes at once, or it is full of others.
            unsafe {
                libc::write(watch.said.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
                loop {
                    libc::pause();
                }
            }
        }
        match watch.before.sa_sigaction {
            // The access happens again when this returns, and the system does what it does with such signals.
            // SAFETY: the structure is the system's own.
            libc::SIG_DFL | libc::SIG_IGN => unsafe {
                libc::sigaction(signal, &raw const watch.before, null_mut());
            },
            handler if watch.before.sa_flags & libc::SA_SIGINFO != 0 => {
                // SAFETY: whoever installed it with this flag has given a function of this type.
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                    unsafe { std::mem::transmute(handler) };
                handler(signal, info, context);
            }
            handler => {
                // SAFETY: likewise without the flag.
                let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
                handler(signal);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn addresses_are_found_while_they_are_guarded() {
            // Addresses that no test maps.
            let (one, other) = (guard(0x1000, 0x100), guard(0x1100, 0x10));
            let found = |address| range_of(address).map(|number| Guarded(Some(number)));
            assert_eq!([0x0fff, 0x1110].map(found), [None, None]);
            assert_eq!([0x1000, 0x10ff].map(found), [Some(one.clone()), Some(one.clone())]);
            assert_eq!(found(0x1100), Some(other.clone()));
            one.release();
            assert_eq!((found(0x1000), found(0x1100)), (None, Some(other.clone())));
            other.release();
            assert_eq!(guard(0x1000, 0), Guarded(None), "nothing is in an empty range");
        }
    }
}
