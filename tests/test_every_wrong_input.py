"""Each wrong input that is promised a clear message, with the tests that hold hagit to it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

COVERED: dict[str, tuple[str, ...]] = {
    "an export of `/`, or of a path outside its dataset": ("core/spec/bad/share-path.yaml",),
    "an export that overlaps another pool": ("core/spec/bad/export-overlap.yaml",),
    "clients with spaces or signs of a shell": ("core/spec/bad/client-hosts.yaml",),
    "a malformed IQN, EUI or CHAP user": ("core/spec/bad/iscsi-name.yaml", "core/spec/bad/chap-user.yaml"),
    "CHAP without a secret, or with one that is not here": (
        "core/spec/bad/missing-key+chap.yaml",
        "core/spec/bad/chap-secret.yaml",
        "agent/test_shares_file.py::test_a_secret_that_this_controller_does_not_have_is_a_warning",
    ),
    "a volume that answers writes before they are on disk": ("core/spec/bad/lun-sync.yaml",),
    "not YAML": ("cli/test_refusals.py::test_text_that_is_wrong", "core/spec/bad/syntax.yaml"),
    "a tab": ("cli/test_refusals.py::test_text_that_is_wrong", "core/spec/bad/tab.yaml"),
    "duplicate keys": ("cli/test_refusals.py::test_text_that_is_wrong", "core/spec/bad/duplicate-key.yaml"),
    "a 50 MB file": (
        "cli/test_refusals.py::test_fifty_megabytes",
        "system/git/test_tree.py::test_a_huge_file_is_named_and_never_loaded",
    ),
    "10,000 nested brackets": (
        "cli/test_refusals.py::test_text_that_is_wrong",
        "core/spec/test_loader.py::test_ten_thousand_levels_are_refused_at_the_sixty_fifth",
    ),
    "aliases": (
        "cli/test_refusals.py::test_text_that_is_wrong",
        "core/spec/bad/alias.yaml",
        "core/spec/bad/anchor.yaml",
    ),
    "tags": ("cli/test_refusals.py::test_text_that_is_wrong", "core/spec/bad/tag.yaml"),
    "%YAML directives": ("cli/test_refusals.py::test_text_that_is_wrong", "core/spec/bad/directive.yaml"),
    "bytes that are not UTF-8": ("cli/test_refusals.py::test_text_that_is_wrong", "core/spec/bad/not-utf8.yaml"),
    "a symlink in the repository": (
        "cli/test_refusals.py::test_a_symlink_and_a_submodule",
        "system/git/test_tree.py::test_symlinks_are_named",
    ),
    "a submodule in the repository": (
        "cli/test_refusals.py::test_a_symlink_and_a_submodule",
        "system/git/test_tree.py::test_a_submodule_is_named",
    ),
    "unknown keys": ("cli/test_refusals.py::test_text_that_is_wrong", "core/spec/bad/unknown-key.yaml"),
    "an address without a prefix": (
        "cli/test_refusals.py::test_text_that_is_wrong",
        "core/spec/bad/address-without-prefix.yaml",
        "agent/test_source.py::test_a_defective_commit_keeps_the_last_good_one_and_the_next_goes_through",
    ),
    "an interface that matches no NIC": (
        "cli/test_refusals.py::test_an_interface_that_matches_no_nic_holds_only_itself",
        "core/planning/test_nic_match.py::test_none_and_several_are_held_with_the_place",
    ),
    "an interface that matches two NICs": (
        "cli/test_refusals.py::test_an_interface_that_matches_two_nics_holds_only_itself",
        "core/planning/test_nic_match.py::test_none_and_several_are_held_with_the_place",
    ),
    "the same NIC claimed twice": (
        "cli/test_refusals.py::test_a_nic_that_two_resources_match_is_given_to_neither",
        "core/spec/bad/nic-twice.yaml",
        "core/planning/cases/two_claims/plan.txt",
    ),
    "an MTU the driver refuses": (
        "cli/test_refusals.py::test_an_mtu_beyond_the_driver_is_held_with_its_limit",
        "cli/test_refusals.py::test_an_mtu_that_only_the_kernel_knows_to_refuse",
        "system/network/test_wrong_input.py::test_an_mtu_the_driver_refuses_names_its_limits",
    ),
    "a commit signed by a stranger": (
        "agent/test_source.py::test_only_the_signed_commits_of_trusted_people_are_applied",
        "system/signatures/test_signatures.py::test_ssh_by_a_stranger",
    ),
    "an unsigned commit": (
        "agent/test_source.py::test_only_the_signed_commits_of_trusted_people_are_applied",
        "system/signatures/test_signatures.py::test_unsigned",
    ),
    "a commit signed with an expired key": (
        "agent/test_source.py::test_only_the_signed_commits_of_trusted_people_are_applied",
        "system/signatures/test_signatures.py::test_ssh_at_the_commits_own_time",
        "system/signatures/test_signatures.py::test_openpgp",
    ),
    "a force-push": (
        "agent/test_source.py::test_a_rewound_branch_is_refused_until_a_person_accepts_it",
        "system/git/test_history.py::test_a_force_push_is_refused_also_from_a_fallback",
    ),
    "an empty repository": (
        "cli/test_refusals.py::test_an_empty_repository",
        "agent/test_source.py::test_an_empty_repository_says_what_to_do",
        "system/git/test_mirror.py::test_an_empty_repository",
    ),
    "a repository with SHA-256 objects": (
        "cli/test_refusals.py::test_a_repository_with_sha256_objects",
        "system/git/test_mirror.py::test_a_repository_with_sha256_objects",
    ),
    "a remote that hangs": (
        "agent/test_source.py::test_a_remote_that_hangs_holds_up_no_look_at_the_kernel",
        "system/git/test_network.py::test_a_remote_that_accepts_and_hangs_ends_in_time",
    ),
    "a full disk": (
        "agent/test_survival.py::test_a_full_disk_stops_an_apply_before_it_begins",
        "agent/test_survival.py::test_an_agent_on_a_full_disk_lives_and_goes_on_when_there_is_room",
        "system/git/test_mirror.py::test_a_full_disk_is_our_own_state_and_harms_nothing",
    ),
    "no permission": (
        "agent/test_survival.py::test_without_the_right_to_change_the_network",
        "agent/test_survival.py::test_without_the_right_to_the_state_directory",
        "system/network/test_wrong_input.py::test_without_permission_it_looks_and_says_what_is_missing",
    ),
    "a link that vanishes between plan and apply": (
        "cli/test_refusals.py::test_a_link_that_vanishes_between_plan_and_apply",
        "cli/test_refusals.py::test_a_link_that_vanishes_while_the_question_waits",
        "system/network/test_wrong_input.py::test_a_link_that_vanished",
    ),
    "netlink buffer overflow": (
        "agent/test_drift.py::test_events_that_the_kernel_dropped_are_made_up_for",
        "system/network/test_monitor.py::test_events_that_were_lost_count_as_a_change",
    ),
    "a heartbeat timeout shorter than the worst pause": (
        "core/spec/bad/orders-unsafe.yaml",
        "core/spec/bad/orders-unsafe+silence-by-pause.yaml",
        "core/spec/bad/orders-unsafe+disk-stale.yaml",
    ),
    "a deadman longer than the takeover may wait": ("core/spec/bad/orders-unsafe+deadman-long.yaml",),
    "one heartbeat channel only": (
        "core/spec/bad/orders-unsafe+one-channel.yaml",
        "cli/test_rehearse.py::test_validate_refuses_a_single_channel_with_the_arithmetic",
    ),
    "no arbitration disks": ("core/spec/bad/orders-unsafe+no-arbitration.yaml",),
    "an even number of arbitration disks": ("core/spec/bad/orders-unsafe+even.yaml",),
    "an arbitration disk that no pool has": ("core/spec/bad/arbitration-unknown.yaml",),
    "one VHID on two interfaces": ("core/spec/bad/vhid-twice.yaml",),
    "a disk in two pools": ("core/spec/bad/disk-twice.yaml",),
    "a disk by a name that changes, or a partition": (
        "core/spec/bad/disk-unstable.yaml",
        "core/spec/bad/disk-partition.yaml",
    ),
    "a pair's secret that is too short": (
        "agent/test_orders_file.py::test_orders_that_cannot_be_published_are_said_and_then_are",
        "system/test_node.py::test_the_password_of_carp_follows_from_the_secret_unless_given",
    ),
    "an orders file that is damaged, old, or changed by hand": (
        "agent/test_orders_file.py::test_orders_that_were_changed_by_hand_are_put_right_with_a_new_generation",
        "agent/test_orders_file.py::test_a_reinstalled_agent_goes_on_where_the_watchdog_is",
    ),
    "an unknown property of a pool or dataset": ("core/spec/bad/unknown-key+property.yaml",),
    "a quota that is no size": ("core/spec/bad/size.yaml",),
    "a dataset outside any Pool": ("core/spec/bad/dataset-outside.yaml",),
    "a dataset below a volume": ("core/spec/bad/dataset-below-volume.yaml",),
    "two datasets mounted at one place": ("core/spec/bad/mountpoint-twice.yaml",),
    "a property that cannot be changed any more": ("core/planning/cases/dataset_fixed/plan.txt",),
    "a protected dataset that is to be destroyed": (
        "cli/test_storage.py::test_what_is_protected_is_held_and_what_is_not_is_destroyed_last",
        "core/planning/cases/dataset_destroyed/plan.txt",
    ),
    "a pool that does not answer": (
        "cli/test_storage.py::test_what_cannot_be_read_is_neither_there_nor_missing",
        "core/planning/cases/pool_hangs/plan.txt",
    ),
    "a host key that is not known": (
        "system/git/test_network.py::test_an_unknown_host_key_is_refused_with_the_way_to_add_it",
    ),
}


def names_in(path: Path) -> set[str]:
    """The tests in a module, by name."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("wrong", COVERED)
def test_it_is_covered(wrong: str) -> None:
    """Every place named in the table exists."""
    assert COVERED[wrong]
    for place in COVERED[wrong]:
        file, _, test = place.partition("::")
        path = TESTS / file
        assert path.is_file(), f"{wrong}: there is no {place}"
        assert not test or test in names_in(path), f"{wrong}: there is no {place}"
