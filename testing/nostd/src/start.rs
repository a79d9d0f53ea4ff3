//! Where the kernel starts the program, how it ends, and what a panic does.

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

// The kernel enters with the stack pointer aligned and no return address (System V ABI, AMD64 supplement §3.4.1).
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "call {run}", "ud2", run = sym run);

extern "C" fn run() -> ! {
    exit(if super::converse().is_some() { 0 } else { 1 })
}

/// exit_group(2), the only call that this program makes.
fn exit(status: i32) -> ! {
    // SAFETY: the kernel ends the process and touches none of its memory.
    unsafe {
        asm!("syscall", in("rax") 231, in("edi") status, options(noreturn, nostack));
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    exit(2)
}

/// The precompiled `core` names it in its unwinding tables; with panics that abort nothing ever calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    exit(2)
}
