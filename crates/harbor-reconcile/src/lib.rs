//! What makes intent true: workers, timers, pools, garbage.
