"""Prints the rows of an export to Parquet as DuckDB reads them, one JSON a line.

Usage: duckdb_rows.py FOLDER

Values are printed by their bits, with the type that DuckDB gave the column, so
that nothing is lost on the way to who compares them.
"""

import glob
import json
import struct
import sys

import duckdb

TYPES = {"DOUBLE": "float", "BIGINT": "integer", "UBIGINT": "unsigned", "VARCHAR": "string", "BOOLEAN": "boolean"}


def value(kind, v):
    if kind == "float":
        return struct.pack(">d", v).hex()
    if kind in ("integer", "unsigned"):
        return "%016x" % (v & (2**64 - 1))
    if kind == "boolean":
        return "%016x" % v
    return v


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


for folder in sorted(glob.glob(glob.escape(sys.argv[1]) + "/measurement=*")):
    files = duckdb.execute("SELECT file FROM glob(?)", [folder + "/**/*.parquet"]).fetchall()
    meta = duckdb.execute("SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = 'varve'", [files[0][0]]).fetchall()[0]
    known = {c["column"]: c for c in json.loads(meta[0])["columns"]}
    table = duckdb.read_parquet([f[0] for f in files], hive_partitioning=True, union_by_name=True)
    kinds = dict(zip(table.columns, map(str, table.types)))
    assert kinds["measurement"] == "VARCHAR", kinds
    assert kinds["date"] == "DATE", kinds
    names = list(known)
    columns = ", ".join(["epoch_ns(time)", "typeof(time)", "measurement", "CAST(date AS VARCHAR)"] + [quoted(n) for n in names])
    for row in table.select(columns).fetchall():
        assert row[1] == "TIMESTAMPTZ_NS", row[1]
        tags, fields = {}, {}
        for name, v in zip(names, row[4:]):
            if v is None:
                continue
            kind = TYPES[kinds[name]]
            if "tag" in known[name]:
                assert kind == "string", (name, kind)
                tags[known[name]["tag"]] = v
            else:
                assert kind == known[name]["type"], (name, kind)
                fields[known[name]["field"]] = kind + ":" + value(kind, v)
        print(json.dumps({"measurement": row[2], "tags": tags, "fields": fields, "time": row[0], "date": row[3]}))
