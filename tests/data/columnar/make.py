"""Makes the small files that tests/data/columnar.rs reads: `python tests/data/columnar/make.py` (pyarrow 26)."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as parquet

folder = Path(__file__).parent
rows = 12
day = datetime.date(2026, 1, 1)
table = pa.table(
    {
        "rooms": pa.array([3, None, 5, 4, 2, 6, 3, 4, 5, 2, 3, 4], pa.int32()),
        "area": pa.array([row * 1.5 if row != 4 else None for row in range(rows)], pa.float64()),
        "half": pa.array([row / 8 for row in range(rows)], pa.float32()).cast(pa.float16()),
        "id": pa.array([1234567890123456789 + row for row in range(rows)], pa.int64()),
        "ocean": pa.array(["near", "far", None, "near"] * 3, pa.string()).dictionary_encode(),
        "town": pa.array(["Bonn", "Ulm", "Kiel", ""] * 3, pa.large_string()),
        "new": pa.array([True, False, None, True] * 3, pa.bool_()),
        "sold": pa.array([day + datetime.timedelta(days=row) for row in range(rows)], pa.date32()),
        "at": pa.array([1_600_000_000_500 + 1000 * row for row in range(rows)], pa.timestamp("ms")),
        "tags": pa.array([["a"], []] * 6, pa.list_(pa.string())),
        "price": pa.array([100 * row + 7 for row in range(rows)], pa.decimal128(10, 2)),
    }
)
parquet.write_table(table, folder / "snappy.parquet", row_group_size=5)
parquet.write_table(table, folder / "zstd.pq", compression="zstd")
parquet.write_table(table, folder / "gzip.parquet", compression="gzip")
feather.write_feather(table, folder / "lz4.feather", compression="lz4")
feather.write_feather(table, folder / "zstd.feather", compression="zstd")
with ipc.new_file(folder / "plain.arrow", table.schema) as file:
    file.write_table(table, max_chunksize=5)
