//! Weight files: opened, checked and named.
