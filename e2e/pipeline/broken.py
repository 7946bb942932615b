"""broken.py KEY OUT: an envelope that a functionary really signed, and whose payload is no JSON."""
import json
import sys

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

with open(sys.argv[1], "rb") as file:
    signer = CryptoSigner(load_pem_private_key(file.read(), None))
envelope = Envelope(b'{"_type": "link", "name": "build", "materials": {', "application/vnd.in-toto+json", {})
envelope.sign(signer)
with open(sys.argv[2], "w") as file:
    json.dump(envelope.to_dict(), file)
