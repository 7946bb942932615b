"""provenance.py PATH…: the predicate of an SLSA provenance v1, for a build of these files and those below them."""
import hashlib
import json
import pathlib
import sys

files = sorted(file for path in map(pathlib.Path, sys.argv[1:]) for file in [path, *path.rglob("*")] if file.is_file())
dependencies = [
    {"name": file.as_posix(), "digest": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}} for file in files
]
build = {"buildType": "https://ci.example.com/build", "externalParameters": {}, "resolvedDependencies": dependencies}
print(json.dumps({"buildDefinition": build, "runDetails": {"builder": {"id": "https://ci.example.com"}}}))
