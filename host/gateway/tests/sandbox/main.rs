//! Real sandboxes: as root and as an ordinary user, by TAP and by veth.
//!
//! One binary in three roles. As the test it starts itself as the launcher, which has one thread and launches a sandbox
//! as a gateway does; in the sandbox the command is often the same binary again, trying what a hostile program would.

mod around;
mod device;
mod doctor;
mod groups;
mod harness;
mod inside;
mod isolation;
mod launcher;
mod lifecycle;
mod session;
mod sockets;
mod terminal;
mod ways;

use harness::Case;

/// All tests, by name.
const CASES: &[Case] = &[
    ("device::frames_pass_both_ways_by_tap", device::frames_pass_both_ways_by_tap),
    ("device::frames_pass_both_ways_by_veth", device::frames_pass_both_ways_by_veth),
    ("doctor::a_machine_that_works_passes", doctor::a_machine_that_works_passes),
    (
        "doctor::a_machine_without_namespaces_fails_with_the_fix",
        doctor::a_machine_without_namespaces_fails_with_the_fix,
    ),
    ("groups::what_shares_its_control_group_survives", groups::what_shares_its_control_group_survives),
    (
        "groups::what_is_mounted_elsewhere_changes_nothing_outside",
        groups::what_is_mounted_elsewhere_changes_nothing_outside,
    ),
    ("groups::a_limit_that_cannot_be_set_is_told", groups::a_limit_that_cannot_be_set_is_told),
    ("isolation::root_by_tap_owns_nothing", isolation::root_by_tap_owns_nothing),
    ("isolation::root_by_veth_owns_nothing", isolation::root_by_veth_owns_nothing),
    ("isolation::user_by_tap_owns_nothing", isolation::user_by_tap_owns_nothing),
    ("isolation::user_by_veth_owns_nothing", isolation::user_by_veth_owns_nothing),
    ("isolation::a_covered_proc_stays_and_opens_nothing", isolation::a_covered_proc_stays_and_opens_nothing),
    ("isolation::root_stays_root_over_files", isolation::root_stays_root_over_files),
    ("isolation::a_missing_resolv_conf_is_supplied", isolation::a_missing_resolv_conf_is_supplied),
    (
        "isolation::the_hosts_name_services_are_out_of_reach",
        isolation::the_hosts_name_services_are_out_of_reach,
    ),
    ("lifecycle::exit_statuses_are_the_commands_own", lifecycle::exit_statuses_are_the_commands_own),
    ("lifecycle::what_cannot_be_executed_is_told_apart", lifecycle::what_cannot_be_executed_is_told_apart),
    ("lifecycle::signals_are_passed_on", lifecycle::signals_are_passed_on),
    ("lifecycle::what_a_process_inherits_is_passed_on", lifecycle::what_a_process_inherits_is_passed_on),
    (
        "lifecycle::background_processes_end_with_the_command",
        lifecycle::background_processes_end_with_the_command,
    ),
    ("lifecycle::a_killed_gateway_leaves_nothing", lifecycle::a_killed_gateway_leaves_nothing),
    ("lifecycle::a_gateway_with_threads_is_refused", lifecycle::a_gateway_with_threads_is_refused),
    (
        "terminal::control_c_reaches_the_command_and_is_told",
        terminal::control_c_reaches_the_command_and_is_told,
    ),
    ("terminal::control_z_stops_the_whole_job", terminal::control_z_stops_the_whole_job),
    (
        "terminal::a_terminal_of_its_own_takes_the_place_of_the_other",
        terminal::a_terminal_of_its_own_takes_the_place_of_the_other,
    ),
    ("terminal::nothing_is_typed_into_the_terminal", terminal::nothing_is_typed_into_the_terminal),
    ("ways::root_reaches_no_socket_of_the_hosts", ways::root_reaches_no_socket_of_the_hosts),
    ("ways::a_user_reaches_no_socket_of_the_hosts", ways::a_user_reaches_no_socket_of_the_hosts),
    ("ways::a_rule_opens_one_socket_or_a_directory", ways::a_rule_opens_one_socket_or_a_directory),
    ("ways::sockets_made_inside_stay_open", ways::sockets_made_inside_stay_open),
    ("ways::another_user_inside_keeps_its_own_rights", ways::another_user_inside_keeps_its_own_rights),
    ("ways::an_address_that_changes_leads_nowhere_else", ways::an_address_that_changes_leads_nowhere_else),
    ("ways::a_covered_proc_guards_as_well", ways::a_covered_proc_guards_as_well),
    ("ways::root_finds_no_other_way", ways::root_finds_no_other_way),
    ("ways::a_user_finds_no_other_way", ways::a_user_finds_no_other_way),
    ("ways::a_hidden_directory_is_out_of_reach_for_root", ways::a_hidden_directory_is_out_of_reach_for_root),
    ("ways::a_stream_that_reaches_any_path_is_refused", ways::a_stream_that_reaches_any_path_is_refused),
    ("ways::a_strict_run_needs_every_lock", ways::a_strict_run_needs_every_lock),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("launch") => launcher::run(&arguments[1..]),
        Some("doctor") => doctor::run(),
        Some("inside") => inside::run(&arguments[1..]),
        _ => harness::run(CASES, &arguments),
    }
}
