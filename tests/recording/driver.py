"""in-toto's own programs as one process: a line of JSON in, a line of JSON out.

{"program": "run" | "record" | "verify", "folder": where, "args": […], "normalise": bool}  →  {"code": number, "says": text}

"layout" instead of a program writes a layout of two steps, signed and recorded by one key.
"""
import functools
import json
import logging
import os
import sys

from in_toto import in_toto_record, in_toto_run, in_toto_verify, runlib
from in_toto.models._signer import load_crypto_signer_from_pkcs8_file as load_signer
from in_toto.models.layout import Layout, Step
from in_toto.models.metadata import Metablock

# What commands print is not the answer.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
said = []


class Listener(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())


logging.getLogger().addHandler(Listener())
MAINS = {"run": in_toto_run.main, "record": in_toto_record.main, "verify": in_toto_verify.main}
PLAIN = runlib.in_toto_run


def program(order):
    runlib.in_toto_run = functools.partial(PLAIN, normalize_line_endings=True) if order.get("normalise") else PLAIN
    sys.argv = ["in-toto-" + order["program"], *order["args"]]
    said.clear()
    try:
        MAINS[order["program"]]()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except Exception as error:  # what the program would show as a traceback
        said.append(repr(error))
        code = 1
    return {"code": code, "says": "\n".join(said)[-4000:]}


def layout(order):
    signer = load_signer(order["key"])
    key = signer.public_key.to_dict()
    key["keyid"] = signer.public_key.keyid
    key["keyval"].setdefault("private", "")
    steps = []
    for name, rules in order["steps"]:
        step = Step(name=name, pubkeys=[key["keyid"]], threshold=1)
        step.expected_materials = rules
        steps.append(step)
    signed = Layout(keys={key["keyid"]: key}, steps=steps)
    signed.set_relative_expiration(days=1)
    metadata = Metablock(signed=signed)
    metadata.create_signature(signer)
    metadata.dump(order["path"])
    return {"code": 0, "says": ""}


for line in sys.stdin:
    order = json.loads(line)
    os.chdir(order["folder"])
    answer = layout(order) if order["program"] == "layout" else program(order)
    print(json.dumps(answer), file=answers, flush=True)
