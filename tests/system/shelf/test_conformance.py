"""What every adapter of a shelf and its pools must do, whatever is behind it."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from reconciler.core.failover.heartbeats.wire import MAGIC
from reconciler.core.failover.machine.events import Presence
from reconciler.core.failover.ports import Shelf, Written, answered
from reconciler.core.failover.reservations.claim import Answer, Command, Verb
from reconciler.core.failover.reservations.key import Key, Side
from reconciler.core.failover.reservations.reservation_state import UNANSWERED, DiskView, Fence, Hold, fence, judge
from tests.system.shelf.rig import DISKS, LONG_S, Rig, SimulatedRig, claim, orders

A, B = Key(Side.A, 7), Key(Side.B, 8)
EMPTY = DiskView(True)
#: How long is waited for disks of which some hang, at first and again.
WAITS_S = (0.3, 2.0, 10.0)
#: What is waited for a disk that hangs; the others have to answer within it, however busy the machine is.
SHORT_S = 2.0


def ask(
    shelf: Shelf, verb: Verb, key: Key, victim: Key | None = None, disk: int = 0, deadline_s: float = LONG_S
) -> Answer:
    return answered(shelf, Command(verb, disk, key, victim), deadline_s).answer


def hold(shelf: Shelf, key: Key, disk: int = 0) -> None:
    assert ask(shelf, Verb.REGISTER, key, disk=disk) is Answer.GOOD
    assert ask(shelf, Verb.RESERVE, key, disk=disk) is Answer.GOOD


def test_a_fresh_shelf_answers_with_nobody(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    assert shelf.look(LONG_S) == (EMPTY,) * len(DISKS)


def test_a_look_command_and_a_look_at_all_say_the_same(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    hold(shelf, A, disk=1)
    expected = DiskView(True, A, frozenset({A}))
    assert answered(shelf, Command(Verb.LOOK, 1, A), LONG_S).view == expected
    assert shelf.look(LONG_S) == (EMPTY, expected, EMPTY, EMPTY)


def test_register_replaces_our_own_key_and_the_reservation_goes_with_it(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    hold(shelf, A)
    later = Key(Side.A, 9)
    assert ask(shelf, Verb.REGISTER, later) is Answer.GOOD
    assert shelf.look(LONG_S)[0] == DiskView(True, later, frozenset({later}))


def test_only_the_registered_reserve_and_only_what_nobody_holds(rig: Rig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    assert ask(ours, Verb.RESERVE, A) is Answer.CONFLICT
    hold(ours, A)
    assert ask(ours, Verb.RESERVE, A) is Answer.GOOD
    assert ask(theirs, Verb.REGISTER, B) is Answer.GOOD
    assert ask(theirs, Verb.RESERVE, B) is Answer.CONFLICT
    assert theirs.look(LONG_S)[0] == DiskView(True, A, frozenset({A, B}))


def test_preempt_takes_only_from_exactly_the_key_it_names(rig: Rig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    hold(ours, A)
    assert ask(theirs, Verb.PREEMPT, B, A) is Answer.CONFLICT, "who is not registered preempts nobody"
    assert ask(theirs, Verb.REGISTER, B) is Answer.GOOD
    assert ask(theirs, Verb.PREEMPT, B, Key(Side.A, 6)) is Answer.CONFLICT
    assert theirs.look(LONG_S)[0] == DiskView(True, A, frozenset({A, B})), "nothing has changed"
    assert ask(theirs, Verb.PREEMPT, B, A) is Answer.GOOD
    assert ours.look(LONG_S)[0] == DiskView(True, B, frozenset({B}))


def test_preempt_of_a_bystander_leaves_the_reservation(rig: Rig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    hold(ours, A)
    assert ask(theirs, Verb.REGISTER, B) is Answer.GOOD
    assert ask(ours, Verb.PREEMPT, A, B) is Answer.GOOD
    assert ours.look(LONG_S)[0] == DiskView(True, A, frozenset({A}))


def test_unregister_gives_the_reservation_back(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    hold(shelf, A)
    assert ask(shelf, Verb.UNREGISTER, A) is Answer.GOOD
    assert shelf.look(LONG_S)[0] == EMPTY


def test_of_two_who_reserve_at_once_one_has_it(rig: Rig) -> None:
    shelves = {A: rig.open(Side.A)[0], B: rig.open(Side.B)[0]}
    with ThreadPoolExecutor(2) as threads:
        for disk in range(len(DISKS)):
            for key, shelf in shelves.items():
                assert ask(shelf, Verb.REGISTER, key, disk=disk) is Answer.GOOD
            asked = {key: threads.submit(ask, shelf, Verb.RESERVE, key, None, disk) for key, shelf in shelves.items()}
            answers = {key: future.result() for key, future in asked.items()}
            assert sorted(answers.values()) == [Answer.CONFLICT, Answer.GOOD]
            holder = next(key for key, answer in answers.items() if answer is Answer.GOOD)
            assert shelves[A].look(LONG_S)[disk].holder == holder


def test_a_claim_fences_the_owner_before(rig: Rig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    first = claim(ours, Side.A, 1)
    assert fence(orders(Side.A), 1, first.result, frozenset()) == (Fence.HOLDS, ())
    second = claim(theirs, Side.B, 2)
    assert fence(orders(Side.B), 2, second.result, frozenset()) == (Fence.HOLDS, ())
    assert judge(orders(Side.A), 1, ours.look(LONG_S)).hold is Hold.LOST


def test_of_two_claims_at_once_at_most_one_holds(rig: Rig) -> None:
    shelves = {side: rig.open(side)[0] for side in Side}
    with ThreadPoolExecutor(2) as threads:
        for epoch in range(1, 6):
            running = {side: threads.submit(claim, shelf, side, epoch) for side, shelf in shelves.items()}
            views = {side: future.result().result for side, future in running.items()}
            held = [side for side in Side if fence(orders(side), epoch, views[side], frozenset())[0] is Fence.HOLDS]
            assert len(held) <= 1


# Records --------------------------------------------------------------------------------------------------------------


def sectors(text: bytes) -> tuple[bytes, ...]:
    """As records begin; nothing else is written where records lie."""
    return tuple((MAGIC + text).ljust(512, bytes([at])) for at in (1, 2, 3))


def comes(shelf: Shelf, *expected: bytes) -> bool:
    """Records that begin like this are read, sooner or later: a write is good when the majority of the disks has it."""
    end_s = time.monotonic() + LONG_S
    while time.monotonic() < end_s:
        found = shelf.read_records(LONG_S)
        if all(data is not None and data.startswith(start) for data, start in zip(found, expected, strict=True)):
            return True
    return False


def test_each_reads_what_the_other_wrote_on_each_arbitration_disk(rig: Rig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    assert theirs.read_records(LONG_S) == (bytes(512),) * 3, "blank"
    assert ours.write_record(sectors(b"a"), LONG_S) is Written.GOOD
    assert theirs.write_record(sectors(b"b"), LONG_S) is Written.GOOD
    assert comes(theirs, *sectors(b"a"))
    assert comes(ours, *sectors(b"b"))


def test_who_was_fenced_reads_and_does_not_write(rig: Rig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    claim(ours, Side.A, 1)
    assert ours.write_record(sectors(b"a"), LONG_S) is Written.GOOD
    assert comes(theirs, *sectors(b"a"))
    claim(theirs, Side.B, 2)
    assert theirs.write_record(sectors(b"b"), LONG_S) is Written.GOOD
    assert ours.write_record(sectors(b"late"), LONG_S) is Written.CONFLICT
    assert comes(ours, *sectors(b"b"))
    assert comes(theirs, *sectors(b"a")), "and nothing that came too late"


def test_one_arbitration_disk_that_refuses_is_no_conflict(rig: Rig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    claim(ours, Side.A, 1)
    assert ask(theirs, Verb.REGISTER, B, disk=2) is Answer.GOOD
    assert ask(theirs, Verb.PREEMPT, B, Key(Side.A, 1), disk=2) is Answer.GOOD
    assert ours.write_record(sectors(b"a"), LONG_S) is Written.GOOD
    assert comes(theirs, *sectors(b"a")[:2], b"\0")


def test_records_without_a_majority_are_silent(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    for disk in (0, 1):
        rig.lose(Side.A, disk)
    assert shelf.write_record(sectors(b"a"), LONG_S) is Written.SILENT
    assert shelf.read_records(LONG_S) == (None, None, bytes(512))


# Disks that do not answer -------------------------------------------------------------------------------------------


def test_a_lost_path_is_silence_for_one_side_only(rig: Rig) -> None:
    (ours, _), (theirs, _) = rig.open(Side.A), rig.open(Side.B)
    rig.lose(Side.A, 1)
    assert ours.look(LONG_S) == (EMPTY, UNANSWERED, EMPTY, EMPTY)
    assert ask(ours, Verb.REGISTER, A, disk=1) is Answer.SILENT
    assert theirs.look(LONG_S) == (EMPTY,) * 4
    rig.restore(Side.A, 1)
    assert ours.look(LONG_S) == (EMPTY,) * 4


def test_a_disk_that_is_not_there_is_silence(rig: Rig) -> None:
    shelf = rig.open_shelf(Side.A, replace(orders(Side.A), disks=("elsewhere", *DISKS[1:])))
    assert shelf.look(LONG_S) == (UNANSWERED, EMPTY, EMPTY, EMPTY)
    assert ask(shelf, Verb.REGISTER, A) is Answer.SILENT
    assert ask(shelf, Verb.REGISTER, A, disk=1) is Answer.GOOD
    assert shelf.read_records(LONG_S) == (None, bytes(512), bytes(512))
    assert shelf.write_record(sectors(b"a"), LONG_S) is Written.GOOD


def test_newer_orders_name_other_disks(rig: Rig) -> None:
    fewer = replace(orders(Side.A), disks=("elsewhere", DISKS[3], DISKS[0]), vdevs=(), arbitration=(1,))
    shelf = rig.open_shelf(Side.A, fewer)
    hold(shelf, A, disk=2)
    assert shelf.write_record(sectors(b"a")[:1], LONG_S) is Written.GOOD
    ours = DiskView(True, A, frozenset({A}))
    assert shelf.look(LONG_S) == (UNANSWERED, EMPTY, ours)
    shelf.obey(orders(Side.A))
    assert shelf.look(LONG_S) == (ours, EMPTY, EMPTY, EMPTY)
    hold(shelf, A, disk=1)
    assert shelf.write_record(sectors(b"b"), LONG_S) is Written.GOOD
    theirs, _ = rig.open(Side.B)
    assert comes(theirs, *sectors(b"b"))
    shelf.obey(fewer)
    assert shelf.look(LONG_S) == (UNANSWERED, EMPTY, ours)
    shelf.obey(orders(Side.A))
    assert shelf.look(LONG_S) == (ours, ours, EMPTY, EMPTY)


def test_what_is_late_is_not_overtaken_by_newer_orders_either(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    rig.hang(1)
    assert ask(shelf, Verb.REGISTER, A, disk=1, deadline_s=SHORT_S) is Answer.SILENT
    shelf.obey(replace(orders(Side.A), disks=tuple(reversed(DISKS))))
    begun_s = time.monotonic()
    assert ask(shelf, Verb.REGISTER, Key(Side.A, 9), disk=2) is Answer.SILENT
    assert time.monotonic() - begun_s < LONG_S / 2, "the late one is silent at once"
    assert ask(shelf, Verb.REGISTER, A, disk=1) is Answer.GOOD


def test_a_hanging_disk_takes_no_answer_from_the_others(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    rig.hang(0)
    assert shelf.look(SHORT_S) == (UNANSWERED, EMPTY, EMPTY, EMPTY)
    assert shelf.read_records(SHORT_S) == (None, bytes(512), bytes(512))
    begun_s = time.monotonic()
    assert shelf.write_record(sectors(b"a"), LONG_S) is Written.GOOD
    assert ask(shelf, Verb.REGISTER, A, disk=1) is Answer.GOOD
    assert time.monotonic() - begun_s < LONG_S / 2, "a majority is enough, and disk 1 answers"


def test_what_is_asked_of_several_disks_at_once_is_answered_by_each(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    hold(shelf, A, disk=3)
    rig.hang(1)
    # Who is not registered takes nothing from anybody.
    commands = (Command(Verb.PREEMPT, 2, A, B), *(Command(Verb.REGISTER, at, A) for at in (1, 0)))
    found = shelf.perform((*commands, Command(Verb.LOOK, 3, A)), SHORT_S)
    assert [reply.answer for reply in found] == [Answer.CONFLICT, Answer.SILENT, Answer.GOOD, Answer.GOOD]
    assert found[3].view == DiskView(True, A, frozenset({A}))
    begun_s = time.monotonic()
    again = shelf.perform(tuple(Command(Verb.LOOK, at, A) for at in range(len(DISKS))), LONG_S)
    assert [reply.answer is Answer.GOOD for reply in again] == [True, False, True, True]
    assert time.monotonic() - begun_s < LONG_S / 2, "the late one is silent at once"


def test_a_claim_goes_past_a_hanging_disk(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    rig.hang(2)
    views = claim(shelf, Side.A, 1, deadline_s=SHORT_S).result
    assert [view.holder for view in views] == [Key(Side.A, 1), Key(Side.A, 1), None, Key(Side.A, 1)]
    assert judge(orders(Side.A), 1, views).hold is Hold.OURS


def test_what_is_late_is_never_overtaken(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    rig.hang(0)
    for wait_s in (0.1, *WAITS_S):
        # One that a busy machine has not even begun is not late: then the next takes its time again.
        begun_s = time.monotonic()
        assert ask(shelf, Verb.REGISTER, A, deadline_s=wait_s) is Answer.SILENT
        took_s = time.monotonic() - begun_s
        if took_s < wait_s / 2:
            break
    begun_s = time.monotonic()
    assert ask(shelf, Verb.UNREGISTER, A) is Answer.SILENT
    assert time.monotonic() - begun_s < LONG_S / 2, "at once, for the one before is not answered"
    rig.unhang(0)
    end_s = time.monotonic() + LONG_S
    while ask(shelf, Verb.REGISTER, Key(Side.A, 9)) is Answer.SILENT and time.monotonic() < end_s:
        pass
    view = shelf.look(LONG_S)[0]
    assert view.registered == {Key(Side.A, 9)}, "the late command is done, and the new one came after it"


def test_reservations_outlive_a_power_cycle_and_attention_is_no_answer(rig: Rig) -> None:
    shelf, _ = rig.open(Side.A)
    before = claim(shelf, Side.A, 1).result
    rig.power_cycle()
    assert shelf.look(LONG_S) == before
    assert ask(shelf, Verb.REGISTER, Key(Side.A, 1)) is Answer.GOOD
    assert shelf.write_record(sectors(b"a"), LONG_S) is Written.GOOD


# Pools ----------------------------------------------------------------------------------------------------------------


def test_pools_come_and_go(pooled: SimulatedRig) -> None:
    shelf, house = pooled.open(Side.A)
    assert house.look(LONG_S).pools is Presence.NONE
    claim(shelf, Side.A, 1)
    assert house.import_(LONG_S)
    assert house.look(LONG_S).pools is Presence.ALL
    assert house.import_(LONG_S), "there already"
    assert house.export(LONG_S)
    assert house.look(LONG_S).pools is Presence.NONE
    assert house.export(LONG_S), "gone already"


def test_pools_outlive_whoever_imported_them(pooled: SimulatedRig) -> None:
    shelf, house = pooled.open(Side.A)
    claim(shelf, Side.A, 1)
    assert house.import_(LONG_S)
    house.close()
    shelf.close()
    assert pooled.open(Side.A)[1].look(LONG_S).pools is Presence.ALL
    assert pooled.open(Side.B)[1].look(LONG_S).pools is Presence.NONE


def test_a_disk_that_was_lost_is_given_up_and_comes_back(pooled: SimulatedRig) -> None:
    shelf, house = pooled.open(Side.A)
    claim(shelf, Side.A, 1)
    assert house.import_(LONG_S)

    def out(expected: set[int]) -> bool:
        end_s = time.monotonic() + LONG_S
        while time.monotonic() < end_s:
            if house.look(LONG_S).out == expected:
                return True
        return False

    pooled.lose(Side.A, 2)
    assert out({2})
    assert house.look(LONG_S).pools is Presence.ALL
    pooled.restore(Side.A, 2)
    assert out(set())
