"""The Loops API as data: wire models, decoding, ``bt://`` URIs, checkpoint references and step names."""
