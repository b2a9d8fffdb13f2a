//! One behaviour for every engine: each case of `cases` runs on the pretend engine and on Docker.

mod cases;
mod docker;
mod pretend;

/// Names every case once, for all engines.
macro_rules! for_each_case {
    ($run:ident) => {
        $run! {
            a_sandbox_lives_stops_and_lives_again
            a_restarted_harbor_goes_on_where_the_old_one_was
            a_token_is_changed_with_the_one_in_force
            an_infra_that_died_is_seen_and_replaced_by_stop_and_start
            a_reserved_infra_that_died_is_started_again
            a_made_sandbox_whose_infra_was_removed_is_made_again
            a_sandbox_that_ends_on_its_own_shows_its_exit_code
            a_paused_sandbox_goes_on_and_can_be_ended
            a_sandbox_that_sleeps_wakes_as_after_a_start
            a_sandbox_that_lost_its_infra_is_made_anew
            files_are_stored_and_brought_back
            volumes_outlive_the_sandboxes_that_have_them
            a_lost_sandbox_is_not_found
            what_does_not_exist_is_removed_and_stopped_without_a_word
            a_missing_image_is_named
            the_listing_shows_everything
            a_listing_follows_what_happens
            changes_are_told
        }
    };
}
pub(crate) use for_each_case;
