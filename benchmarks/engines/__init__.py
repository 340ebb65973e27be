"""The steps of a plan of many rows, once for each engine that could do them.

Every module has the same functions: ``load`` gives a table of the engine from a pandas frame, ``to_pandas`` gives it
back, the rest is what ``benchmarks.compare_engines`` measures. Picks are the table, ``KEY`` is their key. Answers are
plain numbers, so that engines can be held against each other.
"""

KEY = ["run", "user_id", "session_id", "object_name"]
COLUMNS = [
    *("run", "user_id", "session_id", "object_name", "voxel_size", "url", "sha256"),
    *("portal_object_name", "portal_session_id", "portal_annotation_id", "portal_annotation_file_id"),
]
TEXTS = [c for c in COLUMNS if c != "voxel_size"]
PREFIX = "https://data.example.org/projects/benchmark/"
GLOBS = {"object_name": "*some*", "user_id": "[!m]*", "session_id": "round-00?"}
