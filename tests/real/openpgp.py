"""What the reference implementation makes of OpenPGP keys: `openpgp.py HOME OWNER FUNCTIONARY` writes root.layout, signed by GnuPG, whose
functionary is a certificate as it exports it, and functionary.json, its key object."""
import json
import sys
from datetime import datetime, timedelta, timezone

from in_toto.models._signer import GPGSigner
from in_toto.models.layout import Layout, Step
from in_toto.models.metadata import Metablock
from securesystemslib._gpg.functions import export_pubkey

home, owner, functionary = sys.argv[1:]
key = export_pubkey(functionary, home)
with open("functionary.json", "w", encoding="utf-8") as file:
    json.dump(key, file)
layout = Layout()
layout.expires = (datetime.now(timezone.utc) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
layout.keys = {key["keyid"]: key}
layout.steps = [
    Step(
        name="build",
        pubkeys=[key["keyid"]],
        expected_materials=[["DISALLOW", "*"]],
        expected_products=[["CREATE", "out.txt"], ["DISALLOW", "*"]],
    )
]
block = Metablock(signed=layout)
block.create_signature(GPGSigner(owner, home))
block.dump("root.layout")
