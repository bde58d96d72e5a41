//! The leave to use AMX, which the operating system gives.

use std::arch::asm;

/// Whether this process may use AMX with bf16: the CPU has it, and the operating system has granted
/// the tile state, for which this asks.
pub(super) fn are_usable() -> bool {
    static USABLE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *USABLE.get_or_init(|| {
        const AMX_BF16: u32 = 1 << 22;
        const AMX_TILE: u32 = 1 << 24;
        let leaf = std::arch::x86_64::__cpuid_count(7, 0);
        leaf.edx & AMX_BF16 != 0 && leaf.edx & AMX_TILE != 0 && request_tile_state()
    })
}

/// Asks Linux for the tile state of this process and its threads to come.
#[cfg(target_os = "linux")]
fn request_tile_state() -> bool {
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XTILEDATA: usize = 18;
    let result: isize;
    // SAFETY: a system call that reads and writes no memory of this process.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// How other operating systems grant the tile state is not known here.
#[cfg(not(target_os = "linux"))]
fn request_tile_state() -> bool {
    false
}
