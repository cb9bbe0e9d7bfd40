//! Run-time choice between the portable build of a kernel and its AVX2 build.
//!
//! 1. The program is built for plain x86-64 or aarch64, so the compiler may use only SSE2 or NEON by itself.
//! 2. A kernel written inside [`wide!`] is compiled twice from the same source: as it is, and with AVX2, BMI and
//!    LZCNT switched on, where its loops vectorise to twice the width and shifts lose their detours.
//! 3. Each call asks the processor's cached feature bits, one load and test per 256 samples.
//!
//! Both builds give the same bits: no kernel reassociates floats and nothing is contracted into fused operations.

/// Defines functions that run their AVX2 build where the processor has it.
macro_rules! wide {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)? $body:block)*) => {
        $(
            $(#[$attribute])*
            #[inline]
            $visibility fn $name($($argument: $type),*) $(-> $output)? {
                #[inline(always)]
                fn portable($($argument: $type),*) $(-> $output)? $body

                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
                    fn avx2($($argument: $type),*) $(-> $output)? {
                        portable($($argument),*)
                    }
                    if $crate::wide::has_avx2() {
                        #[expect(unsafe_code, reason = "calling the AVX2 build needs the feature check just above")]
                        // SAFETY: `has_avx2` saw every feature that the callee enables on this processor.
                        return unsafe { avx2($($argument),*) };
                    }
                }
                portable($($argument),*)
            }
        )*
    };
}

pub(crate) use wide;

/// Whether this processor has all of these features.
#[cfg(target_arch = "x86_64")]
macro_rules! has {
    ($($feature:tt),+) => { true $(&& std::arch::is_x86_feature_detected!($feature))+ };
}

/// Whether this processor runs the AVX2 builds.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn has_avx2() -> bool {
    has!("avx2", "bmi1", "bmi2", "lzcnt", "popcnt")
}

/// Whether this processor runs what is written by hand for AVX-512, in registers of 256 bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn has_avx512() -> bool {
    has!("avx512f", "avx512dq", "avx512vl", "fma")
}
