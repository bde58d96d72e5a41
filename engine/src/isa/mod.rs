//! Instruction sets, precisions, arithmetics, and the choice of kernels that follows from them.
//!
//! In `f32` every kernel gives the same bits on every instruction set. In `bf16` there are three
//! arithmetics, because the hardware sums the two products of a bf16 pair in its own ways:
//! [`Arithmetic`] names which one a run has used. A CPU with instructions for pairs can do more
//! than one of them, and which is fastest differs: `vdpbf16ps` has twice the f32 rate on a Zen 4
//! and half of it on a Sapphire Rapids.

#[cfg(target_arch = "x86_64")]
mod tiles;

/// The instruction sets with kernels of their own, each containing those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust without assumptions about the CPU.
    Portable,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX-512 with products of bf16 pairs (`vdpbf16ps`).
    Avx512Bf16,
    /// Tile products of bf16 (AMX).
    Amx,
}

impl Isa {
    /// Every instruction set, the smallest first.
    pub const ALL: [Isa; 5] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16, Isa::Amx];

    /// The largest set that this CPU and operating system support.
    pub fn detect() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            detect_x86()
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            Isa::Portable
        }
    }

    /// The set with this name, as users write it: `portable`, `avx2`, `avx512`, `avx512-bf16`
    /// or `amx`.
    pub fn parse(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// The name as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Avx512Bf16 => "avx512-bf16",
            Isa::Amx => "amx",
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn detect_x86() -> Isa {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma")) {
        return Isa::Portable;
    }
    if !(has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl")) {
        return Isa::Avx2;
    }
    if !has!("avx512bf16") {
        return Isa::Avx512;
    }
    if tiles::are_usable() { Isa::Amx } else { Isa::Avx512Bf16 }
}

/// In what the operands of matrix products are held. Sums, normalization, softmax, loss, master
/// weights and optimizer state are f32 in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// Operands are f32.
    F32,
    /// Operands are rounded to bf16, to nearest, ties to even.
    Bf16,
}

/// Which bits a matrix product has. Runs with equal arithmetic have equal bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arithmetic {
    /// Each element is summed over the depth in order, one fused multiply-add at a time.
    F32,
    /// As `F32`, after rounding both operands to bf16.
    Bf16Rounded,
    /// Pairs of bf16 products as `vdpbf16ps` adds them: of each pair the second product first, by
    /// fused multiply-adds, with subnormal numbers taken as zero.
    Bf16Dot,
    /// Pairs of bf16 products as `tdpbf16ps` adds them: over 32 of the depth, first and second
    /// products separately, with subnormal numbers taken as zero.
    Bf16Amx,
}

impl Arithmetic {
    /// Every arithmetic, the one that needs the largest instruction set first.
    pub const ALL: [Arithmetic; 4] =
        [Arithmetic::Bf16Amx, Arithmetic::Bf16Dot, Arithmetic::Bf16Rounded, Arithmetic::F32];

    /// Those of a precision that an instruction set can do. The first is made for the set; a later
    /// one may still be faster.
    pub fn of(isa: Isa, precision: Precision) -> impl Iterator<Item = Arithmetic> {
        Arithmetic::ALL.into_iter().filter(move |it| it.precision() == precision && it.isa() <= isa)
    }

    /// The arithmetic with this name.
    pub fn parse(name: &str) -> Option<Arithmetic> {
        Arithmetic::ALL.into_iter().find(|arithmetic| arithmetic.name() == name)
    }

    /// What it holds operands in.
    pub fn precision(self) -> Precision {
        match self {
            Arithmetic::F32 => Precision::F32,
            Arithmetic::Bf16Rounded | Arithmetic::Bf16Dot | Arithmetic::Bf16Amx => Precision::Bf16,
        }
    }

    /// The smallest instruction set that can do it.
    pub fn isa(self) -> Isa {
        match self {
            Arithmetic::F32 | Arithmetic::Bf16Rounded => Isa::Portable,
            Arithmetic::Bf16Dot => Isa::Avx512Bf16,
            Arithmetic::Bf16Amx => Isa::Amx,
        }
    }

    /// The name as records show it.
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::F32 => "f32",
            Arithmetic::Bf16Rounded => "bf16-rounded",
            Arithmetic::Bf16Dot => "bf16-dot",
            Arithmetic::Bf16Amx => "bf16-amx",
        }
    }
}

/// The choice of kernels: a proof that the CPU has the instruction set, and the arithmetic of the
/// products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels {
    isa: Isa,
    arithmetic: Arithmetic,
}

impl Kernels {
    /// Kernels for an instruction set, with the arithmetic of a precision that is made for it.
    ///
    /// # Panics
    /// If this machine lacks `isa`; compare with [`Isa::detect`] first.
    pub fn new(isa: Isa, precision: Precision) -> Kernels {
        let first = Arithmetic::of(isa, precision).next();
        Kernels::with_arithmetic(isa, first.expect("every precision has an arithmetic everywhere"))
    }

    /// Kernels for an instruction set and one of its arithmetics.
    ///
    /// # Panics
    /// If this machine lacks `isa`, or `isa` cannot do the arithmetic.
    pub fn with_arithmetic(isa: Isa, arithmetic: Arithmetic) -> Kernels {
        let here = Isa::detect();
        assert!(isa <= here, "this machine has no {}, only {}", isa.name(), here.name());
        assert!(arithmetic.isa() <= isa, "{} cannot do {}", isa.name(), arithmetic.name());
        Kernels { isa, arithmetic }
    }

    /// Kernels for AMX whose instructions are emulated where this machine lacks them; none where it
    /// lacks even the smaller sets.
    #[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
    pub(crate) fn emulated_amx() -> Option<Kernels> {
        let here = Isa::detect();
        if here == Isa::Avx512Bf16 {
            crate::product::amx::emulator::install();
        }
        let kernels = Kernels { isa: Isa::Amx, arithmetic: Arithmetic::Bf16Amx };
        (here >= Isa::Avx512Bf16).then_some(kernels)
    }

    /// The instruction set.
    pub fn isa(self) -> Isa {
        self.isa
    }

    /// The precision of the operands of products.
    pub fn precision(self) -> Precision {
        self.arithmetic.precision()
    }

    /// Which bits the products have.
    pub fn arithmetic(self) -> Arithmetic {
        self.arithmetic
    }
}

/// Compiles one plain Rust body for each instruction set and picks one at run time.
///
/// The body uses no intrinsics: the compiler vectorizes it. As Rust neither contracts nor reorders
/// floating-point operations, all versions give the same bits. Functions that the body calls must
/// be `#[inline(always)]` to be compiled along with it.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?
     $body:block) => {
        $(#[$meta])*
        $vis fn $name(kernels: $crate::isa::Kernels, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn portable($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                portable($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                portable($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(
                enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"
            )]
            fn avx512_bf16($($arg: $ty),*) $(-> $ret)? {
                portable($($arg),*)
            }
            match kernels.isa() {
                $crate::isa::Isa::Portable => portable($($arg),*),
                // SAFETY: `Kernels` exists only for instruction sets that this CPU has.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above; the larger sets contain that of bf16 pairs.
                #[cfg(target_arch = "x86_64")]
                _ => unsafe { avx512_bf16($($arg),*) },
                #[cfg(not(target_arch = "x86_64"))]
                _ => unreachable!("kernels of another architecture"),
            }
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_back() {
        for isa in Isa::ALL {
            assert_eq!(Isa::parse(isa.name()), Some(isa));
        }
        assert_eq!(Isa::parse("AVX2"), None);
    }

    #[test]
    fn f32_has_one_arithmetic_on_all_instruction_sets() {
        for isa in Isa::ALL.into_iter().filter(|isa| *isa <= Isa::detect()) {
            assert_eq!(Kernels::new(isa, Precision::F32).arithmetic(), Arithmetic::F32);
        }
        let portable = Kernels::new(Isa::Portable, Precision::Bf16);
        assert_eq!(portable.arithmetic(), Arithmetic::Bf16Rounded);
    }

    #[test]
    fn a_set_can_do_the_arithmetics_of_smaller_ones() {
        let names = |isa, precision| {
            Arithmetic::of(isa, precision).map(Arithmetic::name).collect::<Vec<_>>()
        };
        for isa in Isa::ALL {
            assert_eq!(names(isa, Precision::F32), ["f32"]);
        }
        assert_eq!(names(Isa::Portable, Precision::Bf16), ["bf16-rounded"]);
        assert_eq!(names(Isa::Avx512, Precision::Bf16), ["bf16-rounded"]);
        assert_eq!(names(Isa::Avx512Bf16, Precision::Bf16), ["bf16-dot", "bf16-rounded"]);
        let all = ["bf16-amx", "bf16-dot", "bf16-rounded"];
        assert_eq!(names(Isa::Amx, Precision::Bf16), all);
        for arithmetic in Arithmetic::ALL {
            assert_eq!(Arithmetic::parse(arithmetic.name()), Some(arithmetic));
        }
    }

    #[test]
    #[should_panic(expected = "portable cannot do bf16-dot")]
    fn no_kernels_exist_for_an_arithmetic_that_the_set_cannot_do() {
        Kernels::with_arithmetic(Isa::Portable, Arithmetic::Bf16Dot);
    }
}
