//! The linker brings no start-up code and no C library: what the kernel jumps to is ours, and so is the rest.

fn main() {
    for argument in ["-nostdlib", "-static", "-no-pie"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
