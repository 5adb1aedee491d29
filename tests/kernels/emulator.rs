//! The emulator itself: what it lets pass, what it finds, and its matrix instructions against the tables of the PTX manual.
