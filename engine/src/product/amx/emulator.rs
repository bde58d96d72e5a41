//! AMX for machines without it, for tests: an illegal tile instruction is carried out here.
//!
//! The very `asm!` block of the kernel then runs, instruction by instruction, on any x86-64 Linux:
//! the CPU refuses a tile instruction with SIGILL, the handler decodes it, carries it out on tiles
//! in thread-local memory, and continues behind it.

use std::cell::UnsafeCell;
use std::sync::Once;

const TILES: usize = 8;
const ROWS: usize = 16;
const ROW_BYTES: usize = 64;

/// The tile unit of one thread.
struct Unit {
    configured: bool,
    tiles: [[[u32; ROW_BYTES / 4]; ROWS]; TILES],
}

thread_local! {
    static UNIT: UnsafeCell<Unit> = const {
        UnsafeCell::new(Unit {
            configured: false,
            tiles: [[[0; ROW_BYTES / 4]; ROWS]; TILES],
        })
    };
}

/// Makes tile instructions work on this machine, which has AVX-512, in all threads.
pub(crate) fn install() {
    assert!(std::arch::is_x86_feature_detected!("avx512f"), "the emulator needs AVX-512");
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: an all-zero `sigaction` is valid, and the handler is as SA_SIGINFO asks.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut())
        };
        assert_eq!(result, 0, "the handler of SIGILL is set");
    });
}

/// Whether the emulated unit of this thread is released, as it must be after every session.
pub(crate) fn is_released() -> bool {
    // SAFETY: no handler runs meanwhile, as this code has no tile instruction.
    UNIT.with(|unit| unsafe { !(*unit.get()).configured })
}

extern "C" fn handle(
    _signal: libc::c_int,
    _information: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes the saved state of the thread, which nothing else refers to; the
    // faulting instruction can be read, as the CPU has just done so.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let at = registers[libc::REG_RIP as usize] as *const u8;
        let carried_out = Instruction::decode(at).and_then(|instruction| {
            UNIT.with(|unit| instruction.carry_out(&mut *unit.get(), registers))?;
            Some(instruction.length)
        });
        match carried_out {
            Some(length) => registers[libc::REG_RIP as usize] += length as i64,
            // Not ours: the instruction faults again, and this time for good.
            None => {
                libc::signal(libc::SIGILL, libc::SIG_DFL);
            }
        }
    }
}

type Registers = [i64; 23];

/// A register's place in the saved state, by its number in the encoding of instructions.
const REGISTERS: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// A tile instruction: VEX prefix of three bytes, opcode, ModRM, and perhaps SIB and displacement.
struct Instruction {
    /// The mandatory prefix: 0 none, 1 is 66, 2 is F3, 3 is F2.
    prefix: u8,
    opcode: u8,
    /// The register field of ModRM.
    register: usize,
    /// The register that the other field of ModRM names, where there is no memory operand.
    other: Option<usize>,
    /// The register in the VEX prefix.
    third: usize,
    base: usize,
    /// The index register and its scale.
    index: Option<(usize, i64)>,
    displacement: i64,
    length: usize,
}

impl Instruction {
    /// # Safety
    /// An instruction can be read at `at`.
    unsafe fn decode(at: *const u8) -> Option<Instruction> {
        // SAFETY: bytes are read only as far as the encoding says that the instruction goes on.
        let byte = |i: usize| unsafe { at.add(i).read() };
        // C4, then the inverted bits R, X, B and map 0F38, then W 0, the inverted register, L 0.
        if byte(0) != 0xc4 || byte(1) & 0x1f != 2 || byte(2) & 0x84 != 0 {
            return None;
        }
        let extension = |bit: u8| if byte(1) & bit == 0 { 8 } else { 0 };
        let model = byte(4);
        let (mode, low) = (model >> 6, (model & 7) as usize);
        let mut instruction = Instruction {
            prefix: byte(2) & 3,
            opcode: byte(3),
            register: (model >> 3 & 7) as usize + extension(0x80),
            other: (mode == 3).then_some(low + extension(0x20)),
            third: (!byte(2) >> 3 & 15) as usize,
            base: low + extension(0x20),
            index: None,
            displacement: 0,
            length: 5,
        };
        if mode == 3 {
            return Some(instruction);
        }
        if low == 4 {
            let sib = byte(5);
            instruction.length = 6;
            instruction.base = (sib & 7) as usize + extension(0x20);
            let index = (sib >> 3 & 7) as usize + extension(0x40);
            instruction.index = (index != 4).then_some((index, 1 << (sib >> 6)));
        }
        match mode {
            // Without displacement, base 5 would mean an absolute address.
            0 if instruction.base & 7 == 5 => return None,
            0 => {}
            1 => {
                instruction.displacement = i64::from(byte(instruction.length) as i8);
                instruction.length += 1;
            }
            _ => {
                let bytes = std::array::from_fn(|i| byte(instruction.length + i));
                instruction.displacement = i64::from(i32::from_le_bytes(bytes));
                instruction.length += 4;
            }
        }
        Some(instruction)
    }

    /// The address of the memory operand, and the stride of its rows.
    fn address(&self, registers: &Registers) -> (*mut u8, isize) {
        let value = |register: usize| registers[REGISTERS[register] as usize];
        let stride = self.index.map_or(0, |(register, scale)| value(register) * scale);
        ((value(self.base) + self.displacement) as *mut u8, stride as isize)
    }

    /// Carries it out; `None` if it is none of the known ones, or used against the rules.
    ///
    /// # Safety
    /// The memory operand is valid, as it must be on a CPU with AMX.
    unsafe fn carry_out(&self, unit: &mut Unit, registers: &Registers) -> Option<()> {
        let (address, stride) = self.address(registers);
        let is_memory = self.other.is_none();
        let configures = self.opcode == 0x49 && self.prefix == 0;
        if !configures && (!unit.configured || self.register >= TILES) {
            return None;
        }
        // SAFETY: the caller vouches for the operand, rows are copied without alignment, and
        // `install` has checked for AVX-512.
        unsafe {
            match (self.opcode, self.prefix, is_memory) {
                // ldtilecfg: only the configuration that the kernel uses is known here.
                (0x49, 0, true) => {
                    let bytes = address.cast::<[u8; 64]>().read_unaligned();
                    let row_bytes = |tile: usize| {
                        u16::from_le_bytes([bytes[16 + 2 * tile], bytes[17 + 2 * tile]])
                    };
                    let plain = (0..TILES).all(|tile| {
                        usize::from(row_bytes(tile)) == ROW_BYTES
                            && usize::from(bytes[48 + tile]) == ROWS
                    });
                    if bytes[0] != 1 || bytes[1] != 0 || !plain {
                        return None;
                    }
                    unit.configured = true;
                    unit.tiles = Default::default();
                }
                // tilerelease
                (0x49, 0, false) => unit.configured = false,
                // tilezero
                (0x49, 3, false) => unit.tiles[self.register] = Default::default(),
                // tileloadd
                (0x4b, 3, true) => {
                    for (i, row) in unit.tiles[self.register].iter_mut().enumerate() {
                        *row = address
                            .offset(i as isize * stride)
                            .cast::<[u32; 16]>()
                            .read_unaligned();
                    }
                }
                // tilestored
                (0x4b, 2, true) => {
                    for (i, row) in unit.tiles[self.register].iter().enumerate() {
                        address
                            .offset(i as isize * stride)
                            .cast::<[u32; 16]>()
                            .write_unaligned(*row);
                    }
                }
                // tdpbf16ps
                (0x5c, 2, false) => {
                    let other = self.other.filter(|other| *other < TILES)?;
                    let third = Some(self.third).filter(|third| *third < TILES)?;
                    // The rules ask for three different tiles.
                    if other == third || self.register == other || self.register == third {
                        return None;
                    }
                    let (a, b) = (unit.tiles[other], unit.tiles[third]);
                    multiply(&mut unit.tiles[self.register], &a, &b);
                }
                _ => return None,
            }
        }
        Some(())
    }
}

/// `tdpbf16ps`, as Intel's manual defines it, compiled for AVX-512 so that tests stay fast.
#[target_feature(enable = "avx512f")]
fn multiply(c: &mut [[u32; 16]; 16], a: &[[u32; 16]; 16], b: &[[u32; 16]; 16]) {
    for (c, a) in c.iter_mut().zip(a) {
        let mut sums = [[0.0_f32; 16]; 2];
        for (a, b) in a.iter().zip(b) {
            for (sums, half) in sums.iter_mut().zip([low, high]) {
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = flush(half(*a).mul_add(half(*b), *sum));
                }
            }
        }
        for ((c, first), second) in c.iter_mut().zip(sums[0]).zip(sums[1]) {
            *c = flush(flush(f32::from_bits(*c)) + flush(first + second)).to_bits();
        }
    }
}

/// The first half of a pair.
#[inline(always)]
fn low(pair: u32) -> f32 {
    flush(f32::from_bits(pair << 16))
}

/// The second half of a pair.
#[inline(always)]
fn high(pair: u32) -> f32 {
    flush(f32::from_bits(pair & 0xffff_0000))
}

/// Subnormal numbers become zero.
#[inline(always)]
fn flush(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0_f32.copysign(x) } else { x }
}
