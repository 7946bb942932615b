"""A layout of in-toto 1.4: key ids that cover the hash algorithms, signed over what its model writes: owner.pem, ci.pem → root.layout."""
from datetime import datetime, timedelta, timezone

from in_toto.models.layout import Layout, Step
from in_toto.models.metadata import Metablock
from securesystemslib.interface import import_rsa_privatekey_from_file, import_rsa_publickey_from_file

ci = import_rsa_publickey_from_file("ci.pem.pub")
layout = Layout(
    expires=(datetime.now(timezone.utc) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    keys={ci["keyid"]: ci},
    steps=[Step(name="build", pubkeys=[ci["keyid"]], expected_materials=[["ALLOW", "src"], ["DISALLOW", "*"]],
                expected_products=[["CREATE", "api"], ["DISALLOW", "*"]])],
)
block = Metablock(signed=layout)
block.sign(import_rsa_privatekey_from_file("owner.pem"))
block.dump("root.layout")
