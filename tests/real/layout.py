"""A layout made and signed by the reference implementation: owner.pem, functionary.pem → root.layout."""
from datetime import datetime, timedelta, timezone

from in_toto.models.layout import Inspection, Layout, Step
from in_toto.models.metadata import Metablock
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner


def signer(path):
    with open(path, "rb") as file:
        return CryptoSigner(load_pem_private_key(file.read(), None))


owner, functionary = signer("owner.pem"), signer("functionary.pem")
keyid = functionary.public_key.keyid
layout = Layout()
layout.expires = (datetime.now(timezone.utc) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
layout.keys = {keyid: {**functionary.public_key.to_dict(), "keyid": keyid}}
layout.steps = [
    Step(name="fetch", pubkeys=[keyid], expected_products=[["CREATE", "src.c"], ["DISALLOW", "*"]]),
    Step(
        name="build",
        pubkeys=[keyid],
        expected_materials=[["MATCH", "src.c", "WITH", "PRODUCTS", "FROM", "fetch"], ["DISALLOW", "*"]],
        expected_products=[["ALLOW", "src.c"], ["CREATE", "image/blobs/sha256/*"], ["DISALLOW", "*"]],
    ),
]
layout.inspect = [
    Inspection(
        name="blobs",
        run=["tidewaiter", "inspect", "blobs"],
        expected_materials=[
            ["MATCH", "blobs/sha256/*", "WITH", "PRODUCTS", "IN", "image", "FROM", "build"],
            ["DISALLOW", "*"],
        ],
    )
]
block = Metablock(signed=layout)
block.create_signature(owner)
block.dump("root.layout")
