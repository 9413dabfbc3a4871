#!/usr/bin/env python3
"""The consumer that most people start from, in real PySpark, on `roost listen`: every tweet whole, one record each.

Runs in the long form only (ROOST_LONG=1): it installs PySpark from PyPI into a virtual environment and needs Java.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import reading
import support
from support import Process, Simulator, folder, recorded, wait_until, write_configuration
from test_plain_clients import HARD_TEXTS, hard_tweets, letters, squeezed

CONSUMER = r'''
import sys
from pyspark import SparkContext
from pyspark.streaming import StreamingContext
port, out = int(sys.argv[1]), sys.argv[2]
context = SparkContext("local[2]", "consumer")
context.setLogLevel("ERROR")
streaming = StreamingContext(context, 1)
words = streaming.socketTextStream("127.0.0.1", port).flatMap(lambda x: x.lower().split("__end"))
def save(rdd):
    rows = rdd.collect()
    if rows:
        with open(out, "a", encoding="utf-8") as file:
            file.write("".join(repr(r) + "\n" for r in rows))
words.foreachRDD(save)
words.pprint()
streaming.start()
streaming.awaitTermination()
'''


def spark_python():
    if os.environ.get("ROOST_LONG") != "1":
        support.skip("real PySpark runs in the long form only (ROOST_LONG=1)")
    if not shutil.which("java"):
        support.skip("no Java for PySpark")
    home = pathlib.Path(os.environ.get("ROOST_SPARK", "/var/tmp/roost-test-pyspark"))
    python = home / "bin/python"
    if not (home / "whole").exists():
        shutil.rmtree(home, ignore_errors=True)
        for command in (["/usr/bin/python3", "-m", "venv", str(home)],
                        [str(python), "-m", "pip", "install", "--quiet", "pyspark==3.5.9", "setuptools"]):
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                support.skip(f"PySpark cannot be installed: {done.stdout.strip()[-300:]}")
        (home / "whole").touch()
    return python


def spark_records(python, name, file, count):
    port = support.free_port()
    simulator = Simulator("--file", file, "--no-filter")
    conf = write_configuration(name, simulator.url, bridge=f"listen = 127.0.0.1:{port}\nstart = on_client")
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the bridge to listen", lambda: "listening" in listen.log(), alive=[listen])
    assert "POST" not in simulator.log(), "no connection before the first client"
    script, out = folder() / "consumer.py", folder() / f"{name}.records"
    script.write_text(CONSUMER)
    log = open(folder() / f"{name}.spark.log", "wb")
    spark = subprocess.Popen([str(python), str(script), str(port), str(out)], stdout=log, stderr=subprocess.STDOUT,
                             env={**os.environ, "PYSPARK_PYTHON": str(python), "SPARK_LOCAL_IP": "127.0.0.1"})
    try:
        wait_until(f"{count} records in Spark", lambda: out.exists() and out.read_text(encoding="utf-8").count("\n") >= 2 * count,
                   patience=240, alive=[listen, simulator])
    finally:
        spark.kill()
        spark.wait()
    listen.stop()
    simulator.stop()
    found = [eval(line) for line in out.read_text(encoding="utf-8").split("\n") if line]
    assert found[1::2] == [""] * count, "the empty record that this split leaves after each tweet"
    return found[0::2]


def test_every_recorded_tweet_is_one_whole_record_in_spark():
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    found = spark_records(spark_python(), "spark", recorded("tweets-v1.1.ndjson"), len(tweets))
    assert len(found) == len(tweets)
    for tweet, record in zip(tweets, found):
        expected = squeezed(reading.full_text(tweet))
        if "__end" not in expected:
            assert record == expected + " ", (tweet["id_str"], expected, record)


def test_hard_texts_are_one_record_in_spark():
    path = folder() / "hard.ndjson"
    hard_tweets(path)
    found = spark_records(spark_python(), "spark-hard", path, len(HARD_TEXTS))
    assert [letters(r) for r in found] == [letters(squeezed(t)) for t in HARD_TEXTS]


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
