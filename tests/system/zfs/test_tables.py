"""Lines of `-Hp` as settings, datasets and what is to be mounted."""

from reconciler.system.zfs.mounts import parse_mountable, roots_to_load, unmounted
from reconciler.system.zfs.tables import setting, settings_of
from reconciler.system.zfs.values import PropertySource, Setting

GET = (
    "tank\ttype\tfilesystem\t-\n"
    "tank\tcompression\tlz4\tlocal\n"
    "tank\tatime\ton\tdefault\n"
    "tank\tmountpoint\t/srv/tank\treceived\n"
    "tank\torg.example:note\ttwo words\tlocal\n"
    "tank/a b\ttype\tfilesystem\t-\n"
    "tank/a b\tcompression\tlz4\tinherited from tank\n"
    "tank/a b\tquota\t1073741824\tlocal\n"
    "tank/a b\treadonly\ton\ttemporary\n"
    "tank/vol\ttype\tvolume\t-\n"
    "tank/vol\tvolsize\t67108864\tlocal\n"
    "tank/a b@now\ttype\tsnapshot\t-\n"
    "one that\tis no line\n"
)


def test_values_and_where_they_come_from() -> None:
    found = settings_of(GET)
    assert found["tank"]["compression"] == Setting("lz4", PropertySource.LOCAL)
    assert found["tank"]["mountpoint"] == Setting("/srv/tank", PropertySource.RECEIVED)
    assert found["tank/a b"]["compression"] == Setting("lz4", PropertySource.INHERITED, "tank")
    assert found["tank/a b"]["readonly"] == Setting("on", PropertySource.TEMPORARY)
    assert found["tank"]["type"] == Setting("filesystem", PropertySource.NONE)
    assert setting("x", "of a later release") == Setting("x", PropertySource.NONE)


LIST = """\
tank\tfilesystem\ton\t/tank\tno\t-\tnone\t-
tank/legacy\tfilesystem\ton\tlegacy\tno\t-\tnone\t-
tank/never\tfilesystem\tnoauto\t/n\tno\t-\tnone\t-
tank/vol\tvolume\t-\t-\t-\t-\tnone\t-
tank/secret\tfilesystem\ton\t/s\tno\tunavailable\tfile:///etc/keys/secret\ttank/secret
tank/secret/below\tfilesystem\ton\t/s/b\tno\tunavailable\tnone\ttank/secret
tank/asked\tfilesystem\ton\t/p\tno\tunavailable\tprompt\ttank/asked
tank/open\tfilesystem\ton\t/o\tyes\tavailable\tfile:///etc/keys/open\ttank/open
"""


def test_only_keys_that_a_program_can_read_are_loaded() -> None:
    datasets = parse_mountable(LIST)
    assert roots_to_load(datasets) == ("tank/secret",)
    assert [one.name for one in datasets if one.mounts] == [
        "tank",
        "tank/secret",
        "tank/secret/below",
        "tank/asked",
        "tank/open",
    ]


def test_what_should_be_mounted_and_is_not() -> None:
    told = ("tank", "tank/secret (locked)", "tank/secret/below (locked)", "tank/asked (locked)")
    assert unmounted(parse_mountable(LIST)) == told
