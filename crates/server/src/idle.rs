//! Work that waits for idle time: the index follows the log, and nobody's answer waits for it.

use thread_priority::unix::{NormalThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id};
use thread_priority::{ThreadPriority, ThreadSchedulePolicy};

/// From here on this thread, and each that it starts, has a processor where nobody else wants it, and next to nothing of one
/// that is wanted (`SCHED_IDLE`). Whatever holds a lock that answers need, or is watched for a safeguard, is no such work.
pub(crate) fn use_idle_time_alone() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let asked = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    if asked.is_err() {
        // Where the system has no such class, or does not let us in.
        let _ = rustix::process::setpriority_process(None, 19);
    }
}

#[cfg(test)]
mod tests {
    use thread_priority::unix::thread_schedule_policy;

    use super::*;

    #[test]
    fn a_thread_that_works_behind_the_others_is_of_the_idle_class() {
        let policy = std::thread::spawn(|| {
            use_idle_time_alone();
            thread_schedule_policy()
        });
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        assert_eq!(policy.join().unwrap().unwrap(), idle);
        assert_ne!(thread_schedule_policy().unwrap(), idle, "its own thread alone");
    }
}
