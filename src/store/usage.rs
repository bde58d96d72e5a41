//! What this process has used so far, as the operating system tells.

use std::path::Path;

use super::memory::number_after;

/// Clock ticks per second in `/proc`, the same on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of all threads of this process; 0 where the system does not tell.
#[must_use]
pub fn cpu_seconds() -> f64 {
    // `/proc/self/schedstat` counts one thread, `stat` the whole process in ticks of 10 ms.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses that may hold anything: count from its end.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    ticks.iter().sum::<f64>() / TICKS_PER_SECOND
}

/// CPU seconds that all processes of this machine have used together; 0 where the system does not
/// tell. With [`cpu_seconds`] it gives the share that others took.
#[must_use]
pub fn busy_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> =
        line.split_whitespace().skip(1).take(8).filter_map(|t| t.parse().ok()).collect();
    // Columns 3 and 4 are idle time.
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (ticks.iter().sum::<f64>() - idle) / TICKS_PER_SECOND
}

/// Largest resident memory of this process in bytes; 0 where the system does not tell.
#[must_use]
pub fn peak_memory_bytes() -> u64 {
    number_after(Path::new("/proc/self/status"), "VmHWM:").unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_grows() {
        let before = cpu_seconds();
        let start = std::time::Instant::now();
        let mut sum = 0_u64;
        while start.elapsed().as_millis() < 60 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_seconds() > before || !cfg!(target_os = "linux"));
        assert!(peak_memory_bytes() > 1 << 20 || !cfg!(target_os = "linux"));
    }
}
