#!/usr/bin/env python3
"""A service whose thread hangs is not fed to the watchdog any more, and says which thread it is."""
import sys
import time

import support
import watched
from support import folder, wait_until
from watched import WATCHDOG_US, picture, prepare, status, wait_ready


def hang(conf, process, thread, which):
    """The thread stops for good; the feeding ends, the log and roost status name it, and what else answers still answers."""
    wait_ready(process)
    wait_until("posts", lambda: (picture(conf)["etl"] or {}).get("totals", {}).get("posts", 0) > 0, alive=[process])
    (folder() / f"{conf.parent.name}.hang").touch()
    wait_until("the log to name it", lambda: f'the thread "{thread}" hangs' in process.log(), alive=[process])
    process.manager.messages()  # those from before
    noticed = time.monotonic()
    value = picture(conf)
    assert value["status"] == "critical" and thread in value[which]["hanging"], value
    assert any(f'its thread "{thread}" hangs' in p["text"] for p in value["problems"]), value
    end = noticed + 3 * WATCHDOG_US / 1e6
    while time.monotonic() < end:
        assert not process.manager.feeds_after(noticed), "the watchdog is fed although a thread hangs"
        time.sleep(0.05)
    process.kill()


def test_a_database_that_takes_its_time_is_no_hang():
    watchdog_us = 4000000  # so 2 s are the limit: on a loaded machine, too, every thread has its turn within that
    conf, simulator, services = prepare("slow", watchdog_us=watchdog_us)
    listen, etl = services["listen"], services["etl"]
    wait_ready(listen, etl)
    postgres, database = watched.database()
    seconds = 5
    postgres.psql(f"create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep({seconds}); return null; end $$;"
                  "create trigger slow before insert on roost.batches for each statement execute function slow()", database)
    wait_until("a statement that sleeps", lambda: int(postgres.psql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'", database)),
               alive=[etl])
    began = time.monotonic()
    wait_until("the next batch", lambda: int(postgres.psql("select count(*) from roost.batches where finished_at - started_at > interval '"
                                                           f"{seconds} s'", database)), alive=[etl])
    feeds = etl.manager.feeds_after(began)
    assert "hangs" not in etl.log() and picture(conf)["etl"]["hanging"] == [], etl.log()
    assert len(feeds) >= 3, f"it was fed {len(feeds)} times meanwhile"
    postgres.psql("drop trigger slow on roost.batches", database)
    etl.stop()
    listen.stop()
    simulator.kill()


def test_a_worker_of_etl_that_hangs_ends_the_feeding():
    conf, simulator, services = prepare("worker", hang_etl="etl worker")
    assert "ROOST_TEST_HANG is set" in wait_until("the warning", services["etl"].log)
    hang(conf, services["etl"], "etl worker", "etl")
    services["listen"].stop()
    simulator.kill()


def test_a_sync_that_never_ends_ends_the_feeding_of_listen():
    conf, simulator, services = prepare("sync", hang_listen="spool sync")
    hang(conf, services["listen"], "spool sync", "listen")
    services["etl"].stop()
    simulator.kill()


def test_the_main_loop_that_hangs_feeds_nobody():
    conf, simulator, services = prepare("loop", hang_listen="main")
    listen = services["listen"]
    wait_ready(listen)
    (folder() / "loop.hang").touch()
    began = time.monotonic()
    wait_until("silence", lambda: listen.manager.messages() is not None and time.monotonic() - listen.manager.heard[-1][0] > 2 * WATCHDOG_US / 1e6,
               alive=[listen])
    code, text, took = status(conf)
    assert code == 2 and "roost listen: " in text and "no answer within 2.0 s" in text and took < 30, text
    assert time.monotonic() > began
    listen.kill()
    services["etl"].stop()
    simulator.kill()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
