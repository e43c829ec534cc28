"""The names of time zones."""

from zoneinfo import ZoneInfo

from app.time_zones import time_zone_names


def test_every_name_is_that_of_a_zone_that_can_be_read():
    names = time_zone_names.__wrapped__()  # not what another test has cached
    assert {"UTC", "Asia/Shanghai", "Europe/Berlin"} <= names
    assert [name for name in names if ZoneInfo(name).key != name] == []


def test_files_beside_the_zones_have_no_name():
    assert not {"Factory", "localtime", "posixrules", "tzdata.zi"} & time_zone_names()
